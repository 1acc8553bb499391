"""What Streamlit runs for each visitor: the pages, their style, and what all of them share."""

import streamlit as st

from mien.apps.web import analyze, camera, pages, session, video

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">'
    '<rect width="64" height="64" rx="16" fill="#2f6fb0"/>'
    '<path d="M16 47V20l16 15 16-15v27" fill="none" stroke="#fff" stroke-width="7" '
    'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="196" height="64" viewBox="0 0 196 64">'
    '<rect width="64" height="64" rx="16" fill="#2f6fb0"/>'
    '<g fill="none" stroke-linecap="round" stroke-linejoin="round">'
    '<path d="M16 47V20l16 15 16-15v27" stroke="#fff" stroke-width="7"/>'
    '<g stroke="#4a90d0" stroke-width="5.5"><path d="M82 47V18l13 17 13-17v29M122 28v19M134 37h21a10.5 10.5 0 1 0-5 9'
    'M168 47V27m0 9a9 9 0 0 1 18 0v11"/></g></g><circle cx="122" cy="18" r="3.6" fill="#4a90d0"/></svg>'
)
"""Drawn as lines: the fonts of the page do not apply inside an image."""

STYLE = """
<style>
.stMainBlockContainer { max-width: 73rem; padding-top: 4.4rem; padding-bottom: 3rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  [data-testid="stMetricValue"] { font-size: 1.3rem; } h1 { font-size: 1.6rem !important; } }
[data-testid="stFileUploaderDropzone"] { min-height: 6rem; align-items: center; }
@media (prefers-color-scheme: dark) { [data-testid="stBaseButton-primary"] p { color: #10151a; } }
/* Streamlit's own gray has a contrast of 4.0 on white. */
[data-testid="stCaptionContainer"] { color: inherit; opacity: .8; }
.mien-private { display: flex; gap: .6rem; align-items: baseline; font-size: .92rem; line-height: 1.5;
  padding: .6rem .9rem; border-radius: .5rem; background: color-mix(in srgb, #2f6fb0 11%, transparent); }
.mien-private b { white-space: nowrap; }
@media (max-width: 640px) { .mien-more { display: none; } }
.mien-faces { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.mien-face { border: 1px solid color-mix(in srgb, currentColor 16%, transparent); border-radius: .6rem;
  padding: .9rem; min-width: 0; }
.mien-head { display: flex; gap: .85rem; align-items: center; margin-bottom: .7rem; min-width: 0; }
.mien-head img { width: 4.6rem; height: 4.6rem; object-fit: cover; border-radius: .5rem; flex: none; }
.mien-who { font-size: .82rem; opacity: .72; }
.mien-verdict, .mien-sure { white-space: nowrap; }
.mien-verdict { font-size: 1.35rem; font-weight: 650; line-height: 1.2; }
.mien-verdict i { display: inline-block; width: .72em; height: .72em; border-radius: 50%; margin-right: .4em;
  background: var(--c); box-shadow: 0 0 0 1px color-mix(in srgb, currentColor 25%, transparent); }
.mien-sure { font-size: .9rem; opacity: .8; }
.mien-values { font-size: .9rem; opacity: .8; margin-top: .5rem; white-space: normal; }
.mien-circumplex { position: relative; width: min(13rem, 84%); aspect-ratio: 1; margin: 1.3rem auto 1.2rem;
  border: 1px solid color-mix(in srgb, currentColor 28%, transparent); border-radius: 50%;
  --rule: color-mix(in srgb, currentColor 18%, transparent); background:
  linear-gradient(var(--rule), var(--rule)) 50% 0 / 1px 100% no-repeat,
  linear-gradient(var(--rule), var(--rule)) 0 50% / 100% 1px no-repeat; }
.mien-circumplex > * { position: absolute; transform: translate(-50%, -50%); box-sizing: border-box; }
.mien-circumplex span { font-size: .72rem; opacity: .7; line-height: 1; }
.mien-excited { left: 50%; top: -.6rem; } .mien-calm { left: 50%; top: calc(100% + .7rem); }
.mien-circumplex span.mien-unpleasant, .mien-circumplex span.mien-pleasant { top: 50%; writing-mode: vertical-rl; }
.mien-circumplex span.mien-unpleasant { left: -.75rem; rotate: 180deg; transform: translate(50%, 50%); }
.mien-circumplex span.mien-pleasant { left: calc(100% + .75rem); }
.mien-circumplex i { width: 5px; height: 5px; background: var(--c); }
.mien-circumplex em { width: 13px; height: 13px; border-radius: 50%; background: var(--c); }
.mien-circumplex s { width: 8px; height: 8px; border-radius: 50%; background: var(--c); opacity: .55; }
.mien-circumplex u { width: 13px; height: 13px; border-radius: 50%; border: 2.5px solid currentColor; }
.mien-circumplex b { border-radius: 50%; border: 1px solid currentColor; opacity: .5; }
.mien-circles { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }
.mien-circles figure { margin: 0; } .mien-circles figcaption { font-weight: 600; text-align: center; }
.mien-bars { width: 100%; border-collapse: collapse; font-size: .9rem; margin: 0; }
.mien-bars th, .mien-bars td { border: 0; padding: .13rem 0; font-weight: 400; text-align: left; background: none;
  color: inherit; }
.mien-shape th { width: 10.6rem; padding-right: .6rem; }
.mien-bars:not(.mien-shape) th { width: 5.2rem; padding-right: .6rem; }
.mien-bars td:last-child { width: 4.3rem; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.mien-bars tr.top th, .mien-bars tr.top td { font-weight: 650; }
.mien-track { height: .72rem; border-radius: .36rem; overflow: hidden;
  background: color-mix(in srgb, currentColor 10%, transparent); }
.mien-track div { height: 100%; width: var(--p); min-width: 2px; border-radius: .36rem; background: var(--c);
  box-shadow: inset 0 0 0 1px color-mix(in srgb, currentColor 14%, transparent); }
.mien-legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: .88rem; }
.mien-legend span { display: flex; align-items: center; gap: .4rem; }
.mien-legend i { width: .8rem; height: .8rem; border-radius: .2rem; background: var(--c);
  box-shadow: inset 0 0 0 1px color-mix(in srgb, currentColor 20%, transparent); }
.mien-scroll { overflow-x: auto; }
.mien-scroll table { border-collapse: collapse; font-size: .9rem; width: 100%; margin: 0;
  font-variant-numeric: tabular-nums; }
@media (max-width: 640px) { .mien-scroll table { font-size: .82rem; } }
.mien-scroll th, .mien-scroll td { padding: .4rem .7rem .4rem 0; text-align: left; color: inherit; background: none;
  border: 0; border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
.mien-scroll th { font-weight: 600; opacity: .75; white-space: nowrap; }
.mien-scroll .number { text-align: right; white-space: nowrap; padding-right: 1.2rem; }
</style>
"""

st.set_page_config(page_title="Mien", page_icon=ICON, layout="wide", initial_sidebar_state="collapsed")
st.html(STYLE)
st.logo(LOGO, size="large")
page = st.navigation(
    [
        st.Page(analyze.show, title="Analyze", url_path="analyze", default=True),
        st.Page(video.show, title="Video", url_path="video"),
        st.Page(camera.show, title="Live", url_path="camera"),
        st.Page(pages.show_models, title="Models", url_path="models"),
        st.Page(pages.show_reports, title="Reports", url_path="reports"),
        st.Page(pages.show_about, title="About", url_path="about"),
    ],
    position="top",
)
session.begin()
page.run()
session.offer_to_forget()
