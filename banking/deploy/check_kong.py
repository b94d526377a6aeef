"""Checks a declarative configuration of Kong (format 3.0): FILE

Kong's own check needs Kong. This one knows the fields of the entities and plugins
that are used here, refuses all others, and tries the routes with paths.
"""

import re
import sys
from urllib.parse import urlsplit

import yaml

SERVICE = {"name", "url", "connect_timeout", "read_timeout", "write_timeout", "retries", "routes"}
ROUTE = {"name", "paths", "methods", "protocols", "strip_path", "plugins", "response_buffering"}
PLUGINS = {
    "cors": {
        "origins",
        "methods",
        "headers",
        "exposed_headers",
        "credentials",
        "max_age",
    },
    "ip-restriction": {"allow", "deny", "status", "message"},
    "rate-limiting": {"second", "minute", "hour", "limit_by", "policy", "fault_tolerant"},
}
# Where a request must go. A route's regular expression begins with ~, all else is a
# prefix; expressions come before prefixes, and long ones before short ones.
PATHS = {
    "/": "page",
    "/page-0123456789abcdef.css": "page",
    "/page-0123456789abcdef.js": "page",
    "/favicon-0123456789abcdef.svg": "page",
    "/openapi.json": "page",
    "/status": "page",
    "/status-0123456789abcdef.css": "page",
    "/status-0123456789abcdef.js": "page",
    "/services/status": "admin",
    "/services/status/live": "watching",
    "/circuit-breakers": "admin",
    "/circuit-breakers/reset": "admin",
    "/dead-letters": "admin",
    "/dead-letters/purge": "admin",
    "/delayed-messages": "admin",
    "/jobs": "admin",
    "/jobs/cancel": "admin",
    "/api/auth/login": "credentials",
    "/api/auth/password": "credentials",
    "/api/auth/logout": "api",
    "/api/transfer/transfer": "api",
    "/api/account/me": "api",
    "/api/account/statement": "api",
    "/api/account/statement.csv": "exports",
    "/api/account/statements": "api",
    "/api/account/statements/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/entries.csv": "exports",
    "/api/account/admin/stats": "admin",
    "/api/account/admin/users/1": "admin",
    "/ws": "live",
    "/metrics": None,
    "/health": None,
    "/info": None,
}
HEADERS = {"X-Session", "X-Correlation-Id", "Idempotency-Key", "Content-Type", "Authorization"}


def unknown(what, entity, fields):
    return [f"{what}: unknown field {name}" for name in sorted(set(entity) - fields)]


def check_plugin(where, plugin):
    name = plugin.get("name")
    what = f"{where}: plugin {name}"
    if name not in PLUGINS:
        return [f"{what}: not one that is known here"]
    found = unknown(what, plugin, {"name", "config"})
    return found + unknown(what, plugin.get("config", {}), PLUGINS[name])


def check_route(route):
    what = f"route {route.get('name')}"
    found = unknown(what, route, ROUTE)
    if route.get("strip_path") is not False:
        found.append(f"{what}: strip_path is not false")
    for path in route.get("paths", []):
        if path.startswith("~"):
            re.compile(path[1:])
        elif not path.startswith("/"):
            found.append(f"{what}: {path} does not begin with /")
    for plugin in route.get("plugins", []):
        found += check_plugin(what, plugin)
    return found


def check_service(service):
    what = f"service {service.get('name')}"
    found = unknown(what, service, SERVICE)
    url = urlsplit(service.get("url", ""))
    if url.scheme != "http" or not url.hostname or not url.port or url.path:
        found.append(f"{what}: the address is not http://HOST:PORT")
    for route in service.get("routes", []):
        found += check_route(route)
    return found


def route_of(routes, path):
    expressions, prefixes = [], []
    for route in routes:
        for pattern in route["paths"]:
            if pattern.startswith("~"):
                if re.match(pattern[1:], path):
                    expressions.append((len(pattern), route["name"]))
            elif path.startswith(pattern):
                prefixes.append((len(pattern), route["name"]))
    matching = sorted(expressions) or sorted(prefixes)
    return matching[-1][1] if matching else None


def check(config):
    found = unknown("the file", config, {"_format_version", "services", "plugins"})
    if config.get("_format_version") != "3.0":
        found.append("_format_version is not 3.0")
    for service in config["services"]:
        found += check_service(service)
    for plugin in config["plugins"]:
        found += check_plugin("the file", plugin)
    routes = [route for service in config["services"] for route in service["routes"]]
    names = [entity["name"] for entity in config["services"] + routes]
    if len(set(names)) != len(names):
        found.append(f"a name is used twice: {names}")
    for path, expected in PATHS.items():
        taken = route_of(routes, path)
        if taken != expected:
            found.append(f"{path} goes to {taken}, not to {expected}")
    for route in routes:
        # Kong keeps an answer that is longer than its buffers on its disk, as fast as it comes.
        is_streamed = route["name"] in ("exports", "watching")
        if is_streamed and route.get("response_buffering") is not False:
            found.append(f"{route['name']} are buffered")
    admin = [route for route in routes if route["name"] in ("admin", "watching")]
    for route in admin:
        allowed = [each["config"].get("allow") for each in route["plugins"] if each["name"] == "ip-restriction"]
        if not any(allowed) or "0.0.0.0/0" in str(allowed):
            found.append("the administrator's routes are open to everybody")
    cors = [plugin["config"] for plugin in config["plugins"] if plugin["name"] == "cors"]
    if not cors or not HEADERS <= set(cors[0]["headers"]):
        found.append(f"cors does not allow {sorted(HEADERS)}")
    return found


def main(file):
    with open(file, encoding="utf-8") as stream:
        found = check(yaml.safe_load(stream))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
