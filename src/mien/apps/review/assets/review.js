// Shows the card of the next issue at once, and sends what was decided until the server says that it has arrived.
// What has not arrived outlives a reload and a server that was killed: it is kept in the tab until then.
const KEYS = { k: "keep", d: "drop", u: "unsure", Enter: "accept", z: "undo", Backspace: "undo",
  ArrowLeft: "back", ArrowRight: "next" };
const CARDS_KEPT = 80;
const PATIENCE_MS = 4000;

export default function (component) {
  const root = component.parentElement;
  const desk = root.querySelector(".desk");
  if (!desk.review) desk.review = begin(desk);
  desk.review.send = (value) => component.setStateValue("sent", value);
  desk.review.update(component.data);
  return () => desk.review && desk.review.end();
}

function begin(desk) {
  const find = (selector) => desk.querySelector(selector);
  const own = { data: null, turn: null, position: 0, cards: new Map(), marks: new Map(), pending: [], settings: null,
    order: new Map(), asked: "", shown: null, lost: false, since: 0, send: () => {}, update, end };

  function update(data) {
    if (own.data === null) build(data);
    own.data = data;
    for (const [number, card] of Object.entries(data.cards)) own.cards.set(Number(number), card);
    const arrived = new Set(data.arrived);
    own.pending = own.pending.filter((event) => !arrived.has(event.token));
    own.lost = false;
    own.since = Date.now();
    keep();
    const fresh = data.turn !== own.turn;
    if (fresh) {
      own.turn = data.turn;
      own.position = data.position;
      own.order.clear();
      own.marks.clear();
    }
    data.window.forEach((number, place) => {
      own.order.set(data.first + place, number);
      if (data.marks[number]) own.marks.set(number, data.marks[number]);
      else if (!own.pending.some((event) => event.issue === number)) own.marks.delete(number);
    });
    // After a reload what still waits to be sent was decided already.
    while (fresh && own.pending.some((event) => event.issue === own.order.get(own.position))) own.position += 1;
    document.addEventListener("keydown", onKey);
    draw();
  }

  // Asks again for missing cards, and reloads the page once the server is back.
  async function watch() {
    const waits = own.pending.length || (own.shown === null && own.position < own.data.total);
    if (!waits || Date.now() - own.since < PATIENCE_MS) return;
    own.since = Date.now() - PATIENCE_MS / 2;
    const there = await fetch("_stcore/health", { cache: "no-store" }).then((answer) => answer.ok, () => false);
    if (there && own.lost) location.reload();
    else if (there) tell();
    else { own.lost = true; draw(); }
  }

  function keep() {
    const key = `mien-review-${own.data.table}`;
    if (own.pending.length) sessionStorage.setItem(key, JSON.stringify(own.pending));
    else sessionStorage.removeItem(key);
  }

  function end() {
    document.removeEventListener("keydown", onKey);
  }

  function build(data) {
    own.pending = JSON.parse(sessionStorage.getItem(`mien-review-${data.table}`) || "[]");
    setInterval(watch, 1000);
    if (own.pending.length) setTimeout(tell);
    data.labels.forEach((label, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.act = "relabel";
      button.dataset.label = label;
      button.setAttribute("aria-keyshortcuts", String(place + 1));
      button.innerHTML = `${label} <kbd>${place + 1}</kbd>`;
      find(".labels").append(button);
    });
    for (const [key, text] of Object.entries(data.shows)) find("select").add(new Option(text, key));
    find(".actions").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      act(button.dataset.act, button.dataset.label);
      // A focused button would take the next Enter for itself.
      button.blur();
    });
    find(".kinds").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) { settle({ kind: button.dataset.kind }); button.blur(); }
    });
    find("select").addEventListener("change", (event) => { settle({ show: event.target.value }); event.target.blur(); });
    find(".who").addEventListener("submit", (event) => { event.preventDefault(); find(".who input").blur(); });
    find(".who input").addEventListener("change", (event) => settle({ reviewer: event.target.value.trim() }));
    find(".note input").addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") event.target.blur();
      if (event.key === "Escape") event.target.value = "";
    });
  }

  function onKey(event) {
    const from = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || event.altKey || from.closest?.("input, select, textarea")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const label = own.data.labels[Number(key) - 1];
    const act_ = KEYS[key] || (label && "relabel") || (key === "n" && "note");
    if (!act_ || (key === "Enter" && from.closest?.("button"))) return;
    event.preventDefault();
    // A key that is held down would decide on cards that nobody has seen.
    if (event.repeat && act_ !== "back" && act_ !== "next") return;
    act(act_, label);
  }

  function act(what, label) {
    const number = own.order.get(own.position);
    const card = own.cards.get(number);
    if (what === "note") return find(".note input").focus();
    if (what === "back") return move(-1);
    if (what === "next") return move(1);
    if (!own.data.reviewer) return find(".who input").focus();
    if (what === "undo") return decide({ action: "undo", issue: 0 });
    if (!card || own.shown !== number) return;
    if (what === "accept") decide({ ...card.suggestion, issue: number }, 1);
    else decide({ action: what, label: what === "relabel" ? label : "", issue: number }, 1);
  }

  function decide(event, step = 0) {
    const note = find(".note input");
    own.pending.push({ ...event, note: step ? note.value : "", reviewer: own.data.reviewer, token: token() });
    keep();
    if (step) {
      note.value = "";
      own.marks.set(event.issue, event);
      find(".said").textContent = `issue ${event.issue}: ${spoken(event)}`;
    }
    move(step);
  }

  function move(step) {
    own.position = Math.min(Math.max(0, own.position + step), own.data.total);
    draw();
    tell();
  }

  function settle(change) {
    const data = own.data;
    own.settings = { reviewer: data.reviewer, kind: data.kind, show: data.show, ...change, token: token() };
    tell();
  }

  function tell() {
    if (!own.pending.length) own.since = Date.now();
    const have = [...own.cards.keys()];
    own.send({ events: own.pending, turn: own.turn, position: own.position, have, settings: own.settings });
    while (own.cards.size > CARDS_KEPT) own.cards.delete(own.cards.keys().next().value);
  }

  function draw() {
    const data = own.data;
    drawCard();
    find(".kinds").replaceChildren(...[{ kind: "", total: data.issues, done: data.done }, ...data.kinds].map(chip));
    find("select").value = data.show;
    if (find(".who input") !== desk.getRootNode().activeElement) find(".who input").value = data.reviewer;
    const error = find(".error");
    const lost = own.lost && `The server does not answer. ${own.pending.length} decisions are kept here until it is back.`;
    error.textContent = lost || data.error || (data.reviewer ? "" : "Enter your name above, then decide with keys or buttons.");
    error.classList.toggle("hint", !data.error && !lost);
    error.hidden = !error.textContent;
    const sent = new Set(own.pending.filter((event) => event.issue && !data.marks[event.issue]).map((event) => event.issue));
    const done = data.done + sent.size;
    const track = find(".track");
    track.setAttribute("aria-valuemax", data.issues);
    track.setAttribute("aria-valuenow", done);
    track.firstElementChild.style.width = `${(100 * done) / data.issues}%`;
    const place = data.total ? `${Math.min(own.position + 1, data.total).toLocaleString("en")} of ` : "";
    find(".count").textContent = `${place}${data.total.toLocaleString("en")} here · ` +
      `${done.toLocaleString("en")} of ${data.issues.toLocaleString("en")} decided`;
    find(".pace").textContent = data.pace ? `${Math.round(data.pace).toLocaleString("en")} an hour` : "";
    find(".kappa").textContent = data.agreement.map(kappa).join(" · ");
  }

  function drawCard() {
    const number = own.order.get(own.position);
    const card = own.cards.get(number);
    const place = find(".card");
    const mark = own.marks.get(number);
    if (own.position >= own.data.total) {
      own.shown = null;
      place.innerHTML = `<div class="end"><h2>${own.data.total ? "All done here" : "Nothing here"}</h2>` +
        `<p>Choose another kind or queue at the top, or finish the review and run <code>mien data apply</code>.</p></div>`;
    } else if (card && own.shown !== number) {
      own.shown = number;
      place.innerHTML = card.html;
      place.dataset.issue = number;
    } else if (!card) {
      own.shown = null;
      place.innerHTML = '<div class="end"><p>…</p></div>';
      const want = `${own.turn}/${own.position}`;
      if (own.asked !== want) { own.asked = want; tell(); }
    }
    place.querySelector(".mark")?.remove();
    if (mark && card && own.position < own.data.total) {
      const said = document.createElement("p");
      said.className = "mark";
      said.textContent = `you decided: ${spoken(mark)}`;
      place.append(said);
    }
    for (const button of desk.querySelectorAll(".actions button")) {
      const { act: what, label } = button.dataset;
      const suggestion = card?.suggestion;
      button.classList.toggle("suggested", Boolean(suggestion) && what === suggestion.action &&
        (what !== "relabel" || label === suggestion.label));
      button.classList.toggle("chosen", Boolean(mark) && what === mark.action && (label || "") === (mark.label || ""));
      button.classList.toggle("now", what === "relabel" && Boolean(card) && card.current.includes(label));
    }
  }

  function chip({ kind, meaning, total, done }) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.kind = kind;
    button.title = meaning || "all kinds";
    button.setAttribute("aria-pressed", String(kind === own.data.kind));
    button.innerHTML = `${kind || "all"} <span>${done.toLocaleString("en")}/${total.toLocaleString("en")}</span>` +
      `<i style="width:${(100 * done) / total}%"></i>`;
    return button;
  }

  return own;
}

function spoken({ action, label }) {
  return { keep: "keep", drop: "drop", unsure: "unsure", undo: "undo" }[action] || `label ${label}`;
}

function kappa({ reviewer, n, observed, kappa: value, note }) {
  const same = `${Math.round(100 * observed)} % the same of ${n}`;
  return value === null ? `with ${reviewer}: ${same}, κ not defined (${note})` : `with ${reviewer}: κ ${value.toFixed(2)}, ${same}`;
}

function token() {
  // crypto.randomUUID is there on 127.0.0.1, which counts as a secure place.
  return crypto.randomUUID();
}
