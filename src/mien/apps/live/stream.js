// Frames to the server over a WebSocket, one in flight at a time; results and problems back.

const LONGEST_PX = 640;
const QUALITY = 0.8;
const PATIENCE_MS = 10000;

export class Stream {
  // `on` holds the functions ready, result, problem and closed.
  constructor(on, key, { geometry = false } = {}) {
    this.on = on;
    this.inFlight = false;
    this.sentAt = 0;
    this.explained = false;
    this.canvas = document.createElement("canvas");
    const url = new URL("v1/stream", document.baseURI);
    if (geometry) url.searchParams.set("geometry", "true");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url, key ? ["mien.v1", `mien.key.${key}`] : ["mien.v1"]);
    this.socket.onmessage = (event) => this.take(JSON.parse(event.data));
    this.socket.onclose = () => this.on.closed(this.explained);
  }

  get isReady() {
    const isOpen = this.socket.readyState === WebSocket.OPEN;
    if (isOpen && this.inFlight && performance.now() - this.sentAt > PATIENCE_MS) this.socket.close();
    return isOpen && !this.inFlight;
  }

  take(message) {
    if (message.event === "ready") return this.on.ready(message);
    if (message.event === "result") {
      this.inFlight = false;
      return this.on.result(message, performance.now() - this.sentAt);
    }
    // A frame that could not be read is passed over; any other problem comes before the server closes.
    this.inFlight = false;
    if (message.frame === undefined) {
      this.explained = true;
      this.on.problem(message.problem);
    }
  }

  send(video) {
    const scale = Math.min(1, LONGEST_PX / Math.max(video.videoWidth, video.videoHeight));
    this.canvas.width = Math.round(video.videoWidth * scale);
    this.canvas.height = Math.round(video.videoHeight * scale);
    this.canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0, this.canvas.width, this.canvas.height);
    this.inFlight = true;
    this.sentAt = performance.now();
    this.canvas.toBlob(
      (blob) => {
        if (blob && this.socket.readyState === WebSocket.OPEN) this.socket.send(blob);
        else this.inFlight = false;
      },
      "image/jpeg",
      QUALITY,
    );
  }

  close() {
    this.on.closed = () => {};
    this.socket.close();
  }
}
