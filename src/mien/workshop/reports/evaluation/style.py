"""What the evaluation's page looks like beyond what all pages share."""

from mien.workshop.reports.evaluation import charts

STYLE = (
    """
:root { --warm: #c2571a; --tint: 47, 111, 176; --hit: 47, 111, 176; --miss: 194, 87, 26; }
@media (prefers-color-scheme: dark) { :root { --warm: #f0a36b; --hit: 96, 165, 232; --miss: 240, 150, 90; } }
@media print { :root { --accent: #2f6fb0; --warm: #c2571a; --hit: 47, 111, 176; --miss: 194, 87, 26; } }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .92rem; margin: 1.2rem 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.2rem), 1fr)); }
.cards b { font-size: 1.6rem; letter-spacing: -.01em; } .cards small { color: var(--soft); font-size: .85rem; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; font-size: .92rem;
  margin: 1.2rem 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: .5rem 2.2rem;
  align-items: start; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: .5rem 1.6rem; }
.charts.large { grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.pair > *, .charts > * { min-width: 0; } .pair figure, .charts figure { margin: .8rem 0; }
details { border: 1px solid var(--line); border-radius: 6px; padding: 0 1rem; margin: .7rem 0; }
details > summary { cursor: pointer; padding: .6rem 0; font-weight: 600; }
details > summary span { color: var(--soft); font-weight: 400; }
table.confusion { border-collapse: separate; border-spacing: 2px; font-size: .86rem; }
table.confusion td { text-align: center; border: 0; border-radius: 3px; min-width: 2.75rem; padding: .28rem .15rem;
  line-height: 1.15; } table.confusion tbody tr:hover { background: none; }
table.confusion th { border: 0; font-weight: 500; padding: .2rem .25rem; vertical-align: middle; font-size: .78rem; }
table.confusion tbody th { text-align: right; } table.confusion thead th { text-align: center; }
table.confusion small, td small { display: block; font-size: .76rem; opacity: .75; }
table.confusion td.hit { background: rgba(var(--hit), var(--share)); font-weight: 600; }
table.confusion td.miss { background: rgba(var(--miss), var(--share)); }
table.confusion td.none { color: var(--soft); }
td .range { color: var(--soft); white-space: nowrap; font-size: .92em; }
.poor td small { color: var(--soft); opacity: 1; } .poor td:first-child { min-width: 10rem; }
.poor th, .poor td { padding: .4rem .6rem; } .poor th:first-child, .poor td:first-child { padding-left: 0; }
.poor img { display: block; width: 2.75rem; border-radius: 3px; } .poor td { vertical-align: middle; }
tr.own td { background: var(--panel); font-weight: 600; border-bottom: 2px solid var(--accent);
  border-top: 2px solid var(--accent); }
.published td:last-child { overflow-wrap: anywhere; min-width: 15rem; } .published td:nth-child(2) { min-width: 9rem; }
.mark { color: var(--warm); white-space: nowrap; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.4rem, 1fr)); gap: 1rem .8rem;
  margin: .8rem 0 1.4rem; }
.face { margin: 0; font-size: .8rem; line-height: 1.3; break-inside: avoid; }
.face img { width: 100%; aspect-ratio: 1; object-fit: cover; display: block; border-radius: 4px;
  border: 1px solid var(--line); background: var(--panel); }
.face b { display: block; margin-top: .3rem; }
.face .called { color: var(--warm); } .face .right { color: var(--accent); }
.face .votes { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .35rem; align-items: center;
  font-size: .7rem; color: var(--soft); margin-top: .25rem; }
.face .votes i { display: block; height: .38rem; border-radius: 2px; background: var(--soft); min-width: 1px; }
.note { background: var(--panel); border-left: 3px solid var(--accent); padding: .6rem 1rem; border-radius: 0 6px 6px 0;
  max-width: 48rem; } .note p { margin: .3rem 0; }
.warn { border-left-color: var(--warm); }
@media (max-width: 640px) { th, td { padding: .4rem .5rem; }
  main { padding: 1.6rem 1rem 3rem; } dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .5rem; } .faces { grid-template-columns: repeat(auto-fill, minmax(5.4rem, 1fr)); } }
@media print { html { font-size: 12px; } body { font-size: 12px; } nav { display: none; }
  details { padding: 0 .6rem; } a { color: inherit; text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .faces { grid-template-columns: repeat(8, 1fr); gap: .6rem .4rem; } h3, h4 { break-after: avoid; }
  .pair, .charts { break-inside: avoid; } }
"""
    + charts.STYLE
)
