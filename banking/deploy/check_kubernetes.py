"""Checks built manifests: VERSION FILE...

Kubernetes' own resources against its schemas, strictly. Those of operators against
the names of the fields that are used here.
"""

import sys

import kubernetes_validate
import yaml

# Fields of `spec`, from the definitions of the operators' resources.
OPERATED = {
    ("keda.sh/v1alpha1", "ScaledObject"): {
        "scaleTargetRef",
        "minReplicaCount",
        "maxReplicaCount",
        "pollingInterval",
        "cooldownPeriod",
        "fallback",
        "advanced",
        "triggers",
    },
    ("keda.sh/v1alpha1", "TriggerAuthentication"): {"secretTargetRef"},
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): {
        "replicas",
        "image",
        "persistence",
        "resources",
        "rabbitmq",
    },
    ("postgresql.cnpg.io/v1", "Cluster"): {
        "instances",
        "imageName",
        "bootstrap",
        "postgresql",
        "storage",
        "resources",
    },
}


def mistakes(resource, version):
    """What is wrong with a resource, a sentence each."""
    kind = (resource["apiVersion"], resource["kind"])
    fields = OPERATED.get(kind)
    if fields is not None:
        return [f"unknown field spec.{name}" for name in set(resource["spec"]) - fields]
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(str(step) for step in error.path)
        return [f"{path}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"there is no schema for {kind}"]
    return []


def main(version, files):
    """Prints all mistakes, and returns how many there are."""
    found = 0
    for file in files:
        with open(file, encoding="utf-8") as stream:
            for resource in yaml.safe_load_all(stream):
                for mistake in mistakes(resource, version):
                    name = f"{resource['kind']}/{resource['metadata']['name']}"
                    print(f"{file}: {name}: {mistake}")
                    found += 1
    return found


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], sys.argv[2:]) else 0)
