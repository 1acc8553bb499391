"""The page for live cameras: `/live` in a frame that is as high as what it shows."""

from __future__ import annotations

import streamlit as st

# Same origin, so the frame's height can be read; its own address keeps the camera's permission with the page.
_SCRIPT = """
export default function ({ parentElement }) {
  const frame = parentElement.querySelector("iframe");
  const fit = () => {
    const root = frame.contentDocument && frame.contentDocument.documentElement;
    if (root && root.offsetHeight) frame.style.height = `${root.offsetHeight}px`;
  };
  const watch = new ResizeObserver(fit);
  const open = () => { watch.disconnect(); watch.observe(frame.contentDocument.documentElement); fit(); };
  frame.addEventListener("load", open);
  if (!frame.src) frame.src = new URL("live?inside", document.baseURI);
  return () => { watch.disconnect(); frame.removeEventListener("load", open); frame.removeAttribute("src"); };
}
"""
_FRAME = '<iframe title="Live camera" allow="camera"></iframe>'
_STYLE = "iframe { display: block; width: 100%; height: 44rem; border: 0; color-scheme: auto; }"


def show() -> None:
    """The page."""
    st.title("What does your face show?")
    frame = st.components.v2.component("mien_live", html=_FRAME, css=_STYLE, js=_SCRIPT)
    frame(key="live")
