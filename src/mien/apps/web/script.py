"""What Streamlit runs for each visitor: the pages and what stands on all of them."""

import streamlit as st

from mien.apps.web import session
from mien.apps.web.theme import ICON, LOGO, STYLE
from mien.apps.web.views import about, analyse, models, reports, video

st.set_page_config(page_title="Mien", page_icon=ICON, layout="wide", initial_sidebar_state="auto")
st.html(STYLE)
st.logo(LOGO, size="large")
page = st.navigation(
    [
        st.Page(analyse.show, title="Analyse", url_path="analyse", default=True),
        st.Page(video.show, title="Video", url_path="video"),
        st.Page(models.show, title="Models", url_path="models"),
        st.Page(reports.show, title="Reports", url_path="reports"),
        st.Page(about.show, title="About", url_path="about"),
    ],
    position="top",
)
session.begin()
page.run()
session.offer_to_forget()
