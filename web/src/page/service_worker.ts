// Keeps the page's files, so that it works without a network, and lets nothing through to anywhere else.

// Filled in by the build.
declare const FILES: string[];
declare const VERSION: string;
declare const HEADERS: Record<string, string>;

const scope = self as unknown as ServiceWorkerGlobalScope;
const NAME = `mien-${VERSION}`;

scope.addEventListener("install", (event) => {
  const requests = FILES.map((name) => new Request(name, { cache: "reload" }));
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(requests)).then(() => scope.skipWaiting()));
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
