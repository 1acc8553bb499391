// The visitor's camera: opened when asked for, and what to say when it cannot be.

const TROUBLE = {
  NotAllowedError: [
    "The camera is not allowed",
    "This page may not use the camera. Allow it in the browser's address bar or settings, then try again.",
  ],
  NotFoundError: ["There is no camera", "No camera was found. Connect one, then try again."],
  NotReadableError: [
    "The camera is in use",
    "Another program or tab has the camera, or it does not answer. Close that one, then try again.",
  ],
  OverconstrainedError: ["That camera is gone", "The chosen camera is not there any more. Choose another one."],
};
TROUBLE.SecurityError = TROUBLE.NotAllowedError;
TROUBLE.AbortError = TROUBLE.NotReadableError;

export function explain(error) {
  return TROUBLE[error.name] || ["The camera cannot be opened", error.message || String(error)];
}

export async function openCamera(deviceId) {
  if (!navigator.mediaDevices) {
    const error = new Error("Browsers give the camera to pages on localhost or over HTTPS only. Open this page by https://.");
    error.name = "Insecure";
    throw error;
  }
  const video = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  if (deviceId) video.deviceId = { exact: deviceId };
  else video.facingMode = "user";
  return navigator.mediaDevices.getUserMedia({ video, audio: false });
}

export async function listCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput");
}
