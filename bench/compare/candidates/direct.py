"""No gateway: the server that the others relay to."""

NAME, LABEL = "direct", "no gateway"
JOBS = {"http": ("modern", "legacy"), "big": ("modern", "legacy")}
GROWTH = ("payload",)


def launch(setting):
    return {"url": setting.upstreams[0]["url"]}
