// Faces as people see them: boxes on the picture, a card with bars for each.

export const COLOURS = {
  angry: "#de5420", disgust: "#009e73", fear: "#cc79a7", happy: "#f5b224", sad: "#2e7dc8", surprise: "#60c4f0",
  neutral: "#bec2c8", contempt: "#aa8260",
};
export const UNSURE = "#96989c";
const MOST_CARDS = 6;
// iBUG's lines: the first point, the one behind the last, and whether the line is closed.
const LINES = [
  [0, 17], [17, 22], [22, 27], [27, 31], [31, 36], [36, 42, true], [42, 48, true], [48, 60, true], [60, 68, true],
];
const AXES = ["#dc3c3c", "#46be5a", "#4678eb"]; // to the person's left, up, out of the face
const [SEEN, HIDDEN] = ["#f5f7fa", "#8c9096"];

export function verdict(face, threshold) {
  const isSure = face.confidence >= threshold && !face.abstained;
  return { isSure, text: isSure ? face.top : "not sure", colour: isSure ? COLOURS[face.top] : UNSURE };
}

export function percent(value) {
  return `${Math.round(100 * value)} %`;
}

// Where the picture lies inside the stage, as object-fit: contain puts it.
function fit(canvas, result) {
  const scale = Math.min(canvas.width / result.width, canvas.height / result.height);
  return { scale, x: (canvas.width - scale * result.width) / 2, y: (canvas.height - scale * result.height) / 2 };
}

export function drawBoxes(canvas, result, { mirrored, threshold }) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!result) return;
  const place = fit(canvas, result);
  for (const face of result.faces) {
    const left = mirrored ? result.width - face.box.x - face.box.width : face.box.x;
    const box = {
      x: place.x + place.scale * left,
      y: place.y + place.scale * face.box.y,
      width: place.scale * face.box.width,
      height: place.scale * face.box.height,
    };
    const at = ([x, y]) => [
      place.x + place.scale * (mirrored ? result.width - x : x),
      place.y + place.scale * y,
    ];
    if (face.pose) drawShape(context, face, at, box, mirrored);
    // One face needs no number.
    const number = result.faces.length > 1 ? (face.track_id ?? face.face + 1) : 0;
    drawFace(context, box, verdict(face, threshold), face, ratio, number);
  }
}

function drawShape(context, face, at, box, mirrored) {
  const size = Math.hypot(box.width, box.height) / Math.SQRT2;
  const line = (start, end, colour, width) => {
    context.strokeStyle = colour;
    context.lineWidth = Math.max(1, width);
    context.beginPath();
    context.moveTo(...start);
    context.lineTo(...end);
    context.stroke();
  };
  for (const [first, last, isClosed] of LINES) {
    for (let point = first; point < last - (isClosed ? 0 : 1); point++) {
      const next = point + 1 < last ? point + 1 : first;
      const isSeen = Math.min(face.visible[point], face.visible[next]) >= 0.5;
      line(at(face.landmarks68[point]), at(face.landmarks68[next]), isSeen ? SEEN : HIDDEN, size / 150);
    }
  }
  const origin = at(face.landmarks68[27]);
  const ends = axes(face.pose).map(([x, y, z], index) => ({ x: mirrored ? -x : x, y, z, colour: AXES[index] }));
  // What points away from the camera is drawn first.
  for (const { x, y, colour } of ends.sort((a, b) => a.z - b.z)) {
    line(origin, [origin[0] + 0.45 * size * x, origin[1] - 0.45 * size * y], colour, size / 70);
  }
}

// The columns of Ry(yaw) Rx(pitch) Rz(roll): x to the image's right, y up, z towards the camera.
function axes({ yaw, pitch, roll }) {
  const [cy, sy, cx, sx, cz, sz] = [yaw, pitch, roll].flatMap((angle) => {
    const radians = (Math.PI * angle) / 180;
    return [Math.cos(radians), Math.sin(radians)];
  });
  return [
    [cy * cz + sy * sx * sz, cx * sz, -sy * cz + cy * sx * sz],
    [-cy * sz + sy * sx * cz, cx * cz, sy * sz + cy * sx * cz],
    [sy * cx, -sx, cy * cx],
  ];
}

function drawFace(context, box, { text, colour, isSure }, face, ratio, number) {
  context.lineWidth = 3 * ratio;
  context.strokeStyle = colour;
  context.setLineDash(isSure ? [] : [8 * ratio, 6 * ratio]);
  context.beginPath();
  context.roundRect(box.x, box.y, box.width, box.height, 8 * ratio);
  context.stroke();
  context.setLineDash([]);
  const words = `${number ? `${number} ` : ""}${isSure ? `${text} ${percent(face.confidence)}` : text}`;
  context.font = `600 ${15 * ratio}px system-ui, "Liberation Sans", sans-serif`;
  const [width, height] = [context.measureText(words).width + 18 * ratio, 26 * ratio];
  const x = Math.max(0, Math.min(box.x, context.canvas.width - width));
  const y = box.y - height - 5 * ratio > 0 ? box.y - height - 5 * ratio : box.y + 5 * ratio;
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(x, y, width, height, 7 * ratio);
  context.fill();
  context.fillStyle = "#14161a";
  context.textBaseline = "middle";
  context.fillText(words, x + 9 * ratio, y + height / 2 + ratio);
}

// Cards are kept and only their values changed: the list stays still for eyes and for assistive technology.
export function showCards(list, faces, labels, threshold) {
  const shown = [...faces].sort((a, b) => (a.track_id ?? a.face) - (b.track_id ?? b.face)).slice(0, MOST_CARDS);
  while (list.children.length > shown.length) list.lastElementChild.remove();
  while (list.children.length < shown.length) list.append(createCard(labels));
  shown.forEach((face, index) => fillCard(list.children[index], face, labels, threshold));
}

function createCard(labels) {
  const card = document.createElement("li");
  const head = document.createElement("h2");
  head.append(document.createElement("b"), document.createElement("span"));
  const table = document.createElement("dl");
  for (const label of labels) {
    const [name, bar, value] = ["dt", "dd", "dd"].map((tag) => document.createElement(tag));
    name.textContent = label;
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    bar.append(document.createElement("i"));
    bar.firstElementChild.style.background = COLOURS[label];
    table.append(name, bar, value);
  }
  const values = document.createElement("p");
  values.className = "values";
  card.append(head, table, values);
  return card;
}

// A page that analyzes on the device does not know them.
function describe({ valence, arousal, intensity }) {
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
  const parts = [];
  if (valence != null) parts.push(`valence ${signed(valence)}`);
  if (arousal != null) parts.push(`arousal ${signed(arousal)}`);
  if (intensity != null) parts.push(`intensity ${percent(intensity)}`);
  return parts.join(", ");
}

function fillCard(card, face, labels, threshold) {
  const { text, colour } = verdict(face, threshold);
  card.style.setProperty("--hue", colour);
  const [name, number] = card.querySelector("h2").children;
  name.textContent = text;
  const trouble = face.quality && face.quality !== "good" ? `, ${face.quality}` : "";
  number.textContent = `face ${face.track_id ?? face.face + 1}${trouble}`;
  card.querySelector(".values").textContent = describe(face);
  const [bars, values] = [card.querySelectorAll("i"), card.querySelectorAll("dd:not(.bar)")];
  labels.forEach((label, index) => {
    bars[index].style.width = `${100 * face.probabilities[label]}%`;
    values[index].textContent = percent(face.probabilities[label]);
  });
}
