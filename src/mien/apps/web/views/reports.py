"""The page for reports: those of evaluations, comparisons and studies, each shown as it is."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from mien.apps.web import session
from mien.apps.web.cards import escape_markdown
from mien.apps.web.reports_folder import Report, list_reports, locked_in, named_roots, read_report
from mien.errors import SourceError

HEIGHT_PX = 860


def show() -> None:
    """The page."""
    st.title("Reports")
    roots = named_roots()
    found = list_reports(roots)
    if not found:
        _tell_how(bool(roots))
        return
    chosen = st.selectbox("Report", found, format_func=_named, key=session.key("report"))
    try:
        html = read_report(chosen)
    except SourceError as error:
        st.error(escape_markdown(str(error)))
        return
    st.iframe(locked_in(html, chosen.name), height=HEIGHT_PX, alt=f"The report {chosen.name}")
    st.download_button(
        "Download", html, chosen.path.name, "text/html", on_click="ignore", icon=":material/download:",
        key="report-download",
    )  # fmt: skip


def _named(report: Report) -> str:
    changed = datetime.fromtimestamp(report.path.stat().st_mtime, UTC)
    return f"{report.name} ({changed:%Y-%m-%d})"


def _tell_how(there: bool) -> None:
    where = "in the folder that this page was started with" if there else "yet"
    st.info(f"There are no reports {where}.", icon=":material/description:")
    st.markdown(
        "Reports come from the workshop, as one HTML file each:\n\n"
        "```\nmien evaluate MODEL DATA --out reports/model\n"
        "mien model compare ONE OTHER DATA --out reports/compared\n"
        "mien study report STUDY.toml --runs runs/ --out reports/study\n```\n\n"
        "`mien app --reports FOLDER` shows those of a folder; without it, those of `reports` and `docs/study` "
        "in the working folder."
    )
