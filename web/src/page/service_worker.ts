// Keeps the page's files, so that it works without a network, and lets nothing through to anywhere else.

// Filled in by the build.
declare const FILES: Record<string, string>;
declare const VERSION: string;
declare const HEADERS: Record<string, string>;

const scope = self as unknown as ServiceWorkerGlobalScope;
const NAME = `mien-${VERSION}`;

async function isWhole(response: Response, sha256: string): Promise<boolean> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await response.arrayBuffer()));
  return Array.from(digest, (value) => value.toString(16).padStart(2, "0")).join("") === sha256;
}

// What the page has loaded already is not loaded twice, unless it is of an older build.
async function keep(cache: Cache, name: string, sha256: string): Promise<void> {
  for (const mode of ["force-cache", "reload"] as const) {
    const response = await fetch(name, { cache: mode });
    if (response.ok && (await isWhole(response.clone(), sha256))) return cache.put(name, response);
  }
  throw new Error(`${name} is not the file of this build`);
}

scope.addEventListener("install", (event) => {
  const fill = async () => {
    const cache = await caches.open(NAME);
    await Promise.all(Object.entries(FILES).map(([name, sha256]) => keep(cache, name, sha256)));
    await scope.skipWaiting();
  };
  event.waitUntil(fill());
});

scope.addEventListener("activate", (event) => {
  const clean = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith("mien-") && name !== NAME).map((name) => caches.delete(name)));
    await scope.clients.claim();
  };
  event.waitUntil(clean());
});

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(NAME);
  const found = await cache.match(request, { ignoreSearch: true });
  const response = found ?? (await fetch(request));
  if (!response.ok || response.redirected) return response;
  // A static host may not set them; without them there are no threads, and the worker has no policy.
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const isOwn = request.method === "GET" && new URL(request.url).origin === scope.location.origin;
  event.respondWith(isOwn ? answer(request) : Response.error());
});
