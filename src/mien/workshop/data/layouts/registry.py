"""All layouts that are recognised, in the order in which they are tried."""

from __future__ import annotations

from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.layouts import (
    acted_videos,
    afew,
    afew_va,
    aff_wild2,
    affectnet,
    ck_plus,
    expw,
    ferplus_folders,
    mmi,
    oulu_casia,
    posed_photos,
    raf_db,
)
from mien.workshop.data.layouts.class_folders import FOLDERS
from mien.workshop.data.layouts.sample import Layout

LAYOUTS: tuple[Layout, ...] = (
    ferplus_folders.FERPLUS,
    affectnet.ARRAYS,
    affectnet.TABLES_LAYOUT,
    affectnet.COPY,
    raf_db.RELEASE,
    raf_db.COPY,
    ck_plus.SEQUENCES,
    ck_plus.CROPS,
    posed_photos.JAFFE,
    posed_photos.KDEF,
    oulu_casia.OULU_CASIA,
    mmi.MMI,
    afew.SFEW,
    afew.AFEW,
    expw.EXPW,
    aff_wild2.AFF_WILD2,
    afew_va.AFEW_VA,
    acted_videos.RAVDESS,
    acted_videos.CREMA_D,
    FOLDERS,
)
"""Those that are known by their own names of files come before folders by class, which nearly anything could be."""


def recognise(files: FileTree) -> tuple[Layout, str] | None:
    """The layout of a tree and the folder in which it begins; None where no layout fits."""
    for layout in LAYOUTS:
        root = layout.find(files)
        if root is not None:
            return layout, root
    return None
