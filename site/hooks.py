"""What MkDocs needs to know of the pages: where its navigation is, and how they are written."""

import os
import re


def slug(text, separator):
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-")


def on_config(config):
    """The navigation is that of docs/index.md: its headings, and the links below them."""
    with open(os.path.join(config.docs_dir, "docs", "index.md"), encoding="utf-8") as f:
        text = f.read()
    nav = [{"victorgen": "README.md"}, {"Documentation": "docs/index.md"}]
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        pages = re.findall(r"^\| \[([^\]]+)\]\(([^)#]+\.md)\)", body, re.M)
        nav.append({title: [{name: os.path.normpath("docs/" + path)} for name, path in pages]})
    config.nav = nav
    return config


def on_pre_build(config):
    """A directory that pages link to gets a page that lists what is in it."""
    for directory, names, files in os.walk(config.docs_dir):
        names.sort()
        if not {"README.md", "index.md", "index.html"} & set(files):
            with open(os.path.join(directory, "index.md"), "w", encoding="utf-8") as f:
                f.write("# %s\n\n" % os.path.relpath(directory, config.docs_dir))
                for name in sorted(names):
                    f.write("- [%s/](%s/index.md)\n" % (name, name))
                for name in sorted(files):
                    f.write("- [%s](%s)\n" % (name, name))


def on_page_markdown(markdown, page, config, files):
    """Blocks are sh, whatever runs them; a link to a directory is one to its page."""
    markdown = re.sub(r"^( *)```(sh|cue) \w+$", r"\1```\2", markdown, flags=re.M)
    here = os.path.dirname(os.path.join(config.docs_dir, page.file.src_path))

    def link(match):
        path = match.group(1)
        for name in ("README.md", "index.md"):
            if os.path.isfile(os.path.join(here, path, name)):
                return "](%s/%s)" % (path.rstrip("/"), name)
        return match.group(0)

    return re.sub(r"\]\(([^)#:\s]+)\)", link, markdown)
