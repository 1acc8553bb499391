// The forms of the API reference: each sends what its operation takes, and shows what came back.

const MOST_SHOWN = 40_000; // characters of an answer
const base = document.documentElement.dataset.root;
const key = document.getElementById("key"); // kept in this page's memory only

// The address below the service, with the values of the form that were filled in.
function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("[data-in]")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value) query.set(field.name, field.value);
  }
  return `${base}${path}${query.size ? `?${query}` : ""}`;
}

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function curlOf(form, address) {
  const parts = ["curl"];
  if (form.dataset.method !== "GET" && form.dataset.method !== "POST") parts.push("-X", form.dataset.method);
  if (key.value) parts.push("-H", "'X-API-Key: …'");
  for (const file of form.elements.file?.files ?? []) parts.push("-F", quoted(`file=@${file.name}`));
  return [...parts, quoted(new URL(address, location.href).href)].join(" ");
}

async function send(form) {
  const address = addressOf(form);
  const files = form.elements.file?.files ?? [];
  const request = { method: form.dataset.method, headers: key.value ? { "X-API-Key": key.value.trim() } : {} };
  if (form.dataset.method === "POST") {
    request.body = new FormData();
    for (const file of files) request.body.append("file", file);
  }
  const started = performance.now();
  const answer = await fetch(address, request);
  const text = await answer.text();
  const took = `${Math.round(performance.now() - started)} ms`;
  const type = answer.headers.get("Content-Type") || "no body";
  let shown = text;
  if (type.includes("json") && !type.includes("ndjson")) shown = JSON.stringify(JSON.parse(text), null, 2);
  if (shown.length > MOST_SHOWN) shown = `${shown.slice(0, MOST_SHOWN)}\n… and ${shown.length - MOST_SHOWN} characters more`;
  return { status: `${answer.status} ${answer.statusText} · ${type} · ${took}`, isGood: answer.ok, curl: curlOf(form, address), shown };
}

function show(form, { status, isGood, curl, shown }) {
  const place = form.querySelector(".answer");
  place.hidden = false;
  place.querySelector(".status").textContent = status;
  place.querySelector(".status").className = `status ${isGood ? "good" : "bad"}`;
  place.querySelector(".curl code").textContent = curl;
  place.querySelector(".body code").textContent = shown;
  place.querySelector(".body").hidden = !shown;
}

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      show(form, await send(form));
    } catch (error) {
      show(form, { status: `No answer: ${error.message}`, isGood: false, curl: curlOf(form, addressOf(form)), shown: "" });
    } finally {
      button.disabled = false;
    }
  });
}
