// Elements of the page by their id, and what several parts do with them.

export const byId = <Kind extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as Kind;

export const video = byId<HTMLVideoElement>("video");
export const photo = byId<HTMLImageElement>("photo");

export const threshold = () => Number(byId<HTMLInputElement>("threshold").value) / 100;
export const chosenLabels = () => byId<HTMLSelectElement>("labels").value;
export const options = () => ({ labels: chosenLabels(), minConfidence: 0 });

export function trouble(title: string, text: string): void {
  byId("trouble-title").textContent = title;
  byId("trouble-text").textContent = text;
  byId("trouble").hidden = false;
  byId("welcome").hidden = true;
  byId("again").focus();
}

export function setAspect(width: number, height: number): void {
  byId("stage").style.aspectRatio = `${width} / ${height}`;
}

// A canvas in the screen's own pixels, its context in those of the page.
export function sharpen(canvas: HTMLCanvasElement): { context: CanvasRenderingContext2D; width: number; height: number } {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
