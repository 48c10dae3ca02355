"""What a browser may load and do on the page: its content security policy and other headers. No torch."""

from __future__ import annotations

from collections.abc import Mapping


def content_security_policy(cdn: str | None = None, *, header: bool = True) -> str:
    """Return the policy: everything from the site itself, nothing inline.

    Args:
        cdn: folder from which the runtime is loaded, such as "https://cdn.example/npm/package@1.0/dist/". Its
            modules are checked against their pinned digests and then imported from `blob:` addresses.
        header: whether it is for a header; `frame-ancestors` is ignored in a <meta> element.
    """
    scripts, workers, connections = "'self' 'wasm-unsafe-eval'", "'self'", "'self'"
    if cdn is not None:
        scripts, workers, connections = f"{scripts} blob:", f"{workers} blob:", f"{connections} {cdn}"
    rules = [
        "default-src 'none'",
        f"script-src {scripts}",
        f"worker-src {workers}",
        f"connect-src {connections}",
        "style-src 'self'",
        "img-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if header:
        rules.append("frame-ancestors 'none'")
    return "; ".join(rules)


def headers(cdn: str | None = None) -> Mapping[str, str]:
    """Return the headers of every file of the site.

    The policies of opener and embedder isolate the page, which lets WebAssembly use threads.
    """
    return {
        "Content-Security-Policy": content_security_policy(cdn),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def headers_file(cdn: str | None = None) -> str:
    """Return `_headers`, which Netlify and Cloudflare Pages read."""
    lines = [f"  {name}: {value}" for name, value in headers(cdn).items()]
    return "\n".join(["/*", *lines, "", "/service-worker.js", "  Cache-Control: no-cache", ""])
