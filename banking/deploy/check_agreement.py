"""Checks that the files here agree with the code and with each other: ROOT MANIFESTS

Names of programs, settings, queues, ports and secrets; and that no secret is in
any of them.
"""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

PROGRAMS = {
    "auth-service",
    "account-service",
    "transfer-service",
    "notification-service",
    "api-producer",
}
# Whose private keys are in which volume of compose.yaml.
KEYS = {
    "auth-service": "auth-keys",
    "account-service": "account-keys",
    "transfer-service": "transfer-keys",
    "notification-service": "notification-keys",
    "api-producer": "gateway-keys",
}
# Written into the README by hand: where which key of which secret comes from.
SECRETS = {
    "bank-rabbitmq": {"url", "management-url"},
    "bank-redis": {"url"},
    "bank-database": PROGRAMS - {"api-producer"},
    "bank-admin": {"secret"},
}


class Code:
    """What the sources say."""

    def __init__(self, root):
        sources = sorted((root / "banking").glob("*/src/**/*.rs"))
        text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
        self.settings = set(re.findall(r'\benv = "([A-Z_]+)"', text))
        # Those that a test of the gateway holds against what is served; tests beside the sources
        # have contracts of their own.
        programs = (root / "banking/contracts/src/program.rs").read_text(encoding="utf-8")
        self.queues = set(re.findall(r'\bof\(\s*"([^"]+)",\s*[A-Z_]+,', programs))
        (signers,) = re.findall(r"const SIGNERS: .*? = \[([A-Z_,\s]+)\];", text)
        self.signers = {name.lower().replace("_", "-") for name in re.findall(r"\w+", signers)}
        manifests = (root / "banking").glob("*/Cargo.toml")
        self.packages = {path.parent.name for path in manifests}


# Servers whose images begin as root, to become somebody else: here they never are root. The others
# name a user in their image.
BEGIN_AS_ROOT = {"rabbitmq", "redis", "postgres"}
# An image of a version, by its digest besides or not.
VERSIONED = re.compile(r"^[^@]*:(?!latest(?:@|$))[\w.-]+(?:@sha256:[0-9a-f]{64})?$")


def read(path):
    with open(path, encoding="utf-8") as stream:
        return list(yaml.safe_load_all(stream))


def check_dockerfile(code, text):
    built = set(re.findall(r"-p ([a-z-]+)", text))
    if built != PROGRAMS | {"bank"}:
        yield f"Dockerfile builds {sorted(built)}"
    yield from (f"Dockerfile: there is no package {name}" for name in built - code.packages)
    variables = set(re.findall(r"\b([A-Z_]+)=", text)) - {"RUSTUP_TOOLCHAIN"}
    yield from (f"Dockerfile: {name} is no setting" for name in variables - code.settings)


def check_confined(file, services):
    """No container can change its image, or gets a right that it did not begin with."""
    for name, service in services.items():
        if service.get("read_only") is not True:
            yield f"{file}: {name} can write to its root"
        if service.get("cap_drop") != ["ALL"] or "cap_add" in service:
            yield f"{file}: {name} keeps capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", ()):
            yield f"{file}: {name} may gain privileges"
        if service.get("privileged") or "docker.sock" in yaml.dump(service):
            yield f"{file}: {name} is the machine's"
        user = str(service.get("user", "" if name in BEGIN_AS_ROOT else "the image's"))
        if user.split(":")[0] in ("", "0", "root"):
            yield f"{file}: {name} begins as root"
        if not VERSIONED.search(service["image"]):
            yield f"{file}: {name} is whatever image there is"


def check_passwords(file, services):
    """A password is set by who starts it: there is none to fall back to."""
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            is_secret = re.search(r"PASS|SECRET|TOKEN|AUTH|_URL$", variable)
            if not is_secret or value is None:
                continue
            if not re.search(r"\$\{[A-Z_]+:\?", str(value)):
                yield f"{file}: {name}: {variable} is not asked for"


def check_keys_are_written(dockerfile, compose):
    """A new volume belongs to who has its directory in the image, or else to root."""
    (made,) = re.findall(r"install -d -m 700 -o bank -g bank ((?:\\\n|[^\n])*)", dockerfile)
    for volume in compose["services"]["keys"]["volumes"]:
        directory = volume.partition(":")[2]
        if directory not in made.split():
            yield f"Dockerfile has no {directory}, which the keys are written to"


def check_compose(code, compose, beside, example, kong):
    services = compose["services"]
    for name in PROGRAMS:
        service = services[name]
        if service["command"] != [name]:
            yield f"compose.yaml: {name} runs {service['command']}"
        for wanted in ("healthcheck", "restart", "stop_grace_period"):
            if wanted not in service:
                yield f"compose.yaml: {name} has no {wanted}"
        for variable in set(service["environment"]) - code.settings:
            yield f"compose.yaml: {name}: {variable} is no setting"
        if service["volumes"] != [f"{KEYS[name]}:/keys:ro"]:
            yield f"compose.yaml: {name} has the volumes {service['volumes']}"
    for name in set(services) - PROGRAMS - {"keys"}:
        if "healthcheck" not in services[name]:
            yield f"compose.yaml: {name} has no healthcheck"
    for name, service in beside["services"].items():
        if "healthcheck" not in service:
            yield f"monitoring/compose.yaml: {name} has no healthcheck"
    text = yaml.dump(compose) + yaml.dump(beside)
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text)) | {"ADMIN_SECRET"}
    known = set(re.findall(r"^#?([A-Z_]+)=", example, re.M))
    if used != known:
        yield f".env.example and compose.yaml differ in {sorted(used ^ known)}"
    filled = re.findall(r"^([A-Z_]*(?:PASSWORD|SECRET)[A-Z_]*)=\S+", example, re.M)
    yield from (f".env.example gives {name} a value" for name in filled)
    address = services["kong"]["networks"]["edge"]["ipv4_address"]
    if services["api-producer"]["environment"].get("TRUSTED_PROXIES") != address:
        yield "compose.yaml: api-producer takes all clients for Kong"
    for service in kong["services"]:
        host = urlsplit(service["url"]).hostname
        if "edge" not in services[host]["networks"]:
            yield f"compose.yaml: Kong can't reach {host}"


def check_deployment(code, deployment):
    name = deployment["metadata"]["name"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    if container["command"] != [name] or name not in PROGRAMS:
        yield f"{name} runs {container['command']}"
    for variable in container["env"]:
        if variable["name"] not in code.settings:
            yield f"{name}: {variable['name']} is no setting"
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and reference["key"] not in SECRETS.get(reference["name"], ()):
            yield f"{name}: {reference} is not a secret that the README makes"
        if "URL" in variable["name"] and not reference:
            yield f"{name}: {variable['name']} is not by reference"
    for wanted in ("startupProbe", "livenessProbe", "readinessProbe", "resources"):
        if wanted not in container:
            yield f"{name} has no {wanted}"
    keys = {volume["secret"]["secretName"] for volume in pod["volumes"]}
    expected = {f"bank-keys-{name}"}
    if keys != expected:
        yield f"{name} has the keys {keys}"


def check_manifests(code, resources, kong):
    of = {}
    for resource in resources:
        of.setdefault(resource["kind"], {})[resource["metadata"]["name"]] = resource
    if "Secret" in of:
        yield f"a secret is among the manifests: {sorted(of['Secret'])}"
    for kind in ("Deployment", "PodDisruptionBudget"):
        if set(of[kind]) != PROGRAMS:
            yield f"{kind}: {sorted(of[kind])}"
    for deployment in of["Deployment"].values():
        yield from check_deployment(code, deployment)
    for service in kong["services"]:
        url = urlsplit(service["url"])
        (port,) = of["Service"][url.hostname]["spec"]["ports"]
        if port["port"] != url.port:
            yield f"Kong asks {url.hostname} on {url.port}, which is on {port['port']}"
    scaled = of.get("ScaledObject", {})
    triggers = [trigger for one in scaled.values() for trigger in one["spec"]["triggers"]]
    queues = {trigger["metadata"].get("queueName") for trigger in triggers} - {None}
    if scaled and queues != code.queues:
        yield f"queues that are scaled and queues of the code differ: {queues ^ code.queues}"


def check_keys(readme, signers):
    """Each program's secret has its own private keys, and nobody else's."""
    if signers != set(KEYS):
        yield f"the programs of the code that sign are {sorted(signers)}"
    made = re.findall(r"create secret generic (bank-keys\S*)((?: \\\n|[^\n])*)", readme)
    private = {}
    for name, rest in made:
        of = r"/((?:(?:session|pass)-signing|password-opening)\S*\.pem)"
        private[name] = set(re.findall(of, rest))
    expected = {f"bank-keys-{name}": {f"pass-signing-{name}.pem"} for name in KEYS}
    expected["bank-keys-auth-service"] |= {"session-signing.pem", "password-opening.pem"}
    if private != expected:
        yield f"README.md: the secrets of keys are {private}"


def main(root, manifests):
    here = root / "banking/deploy"
    code = Code(root)
    (kong,) = read(here / "kong.yaml")
    (compose,) = read(here / "compose.yaml")
    (beside,) = read(here / "monitoring/compose.yaml")
    example = (here / ".env.example").read_text(encoding="utf-8")
    found = list(check_dockerfile(code, (here / "Dockerfile").read_text(encoding="utf-8")))
    found += check_compose(code, compose, beside, example, kong)
    for file, services in (
        ("compose.yaml", compose["services"]),
        ("monitoring/compose.yaml", beside["services"]),
    ):
        found += check_confined(file, services)
        found += check_passwords(file, services)
    found += check_keys_are_written((here / "Dockerfile").read_text(encoding="utf-8"), compose)
    readme = (here / "README.md").read_text(encoding="utf-8")
    found += check_keys(readme, code.signers)
    for name in ("base", "overlays-small", "overlays-production"):
        file = manifests / f"{name}.yaml"
        if file.exists():
            found += (f"{name}: {each}" for each in check_manifests(code, read(file), kong))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
