// The visitor's camera: opened when asked for, and what to say when it cannot be.

const TROUBLE = {
  NotAllowedError: [
    "Camera access denied",
    "This page is not allowed to use the camera. Allow it in the browser's address bar or settings, then try again.",
  ],
  NotFoundError: ["No camera found", "Connect a camera, then try again."],
  NotReadableError: [
    "Camera in use",
    "Another program or tab is using the camera, or it does not respond. Close that one, then try again.",
  ],
  OverconstrainedError: ["Camera not found", "The selected camera is no longer available. Choose another one."],
};
TROUBLE.SecurityError = TROUBLE.NotAllowedError;
TROUBLE.AbortError = TROUBLE.NotReadableError;

export function explain(error) {
  return TROUBLE[error.name] || ["Cannot open the camera", error.message || String(error)];
}

export async function openCamera(deviceId) {
  if (!navigator.mediaDevices) {
    const error = new Error("Browsers allow the camera only on localhost or over HTTPS. Open this page with https://.");
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
