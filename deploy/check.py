#!/usr/bin/env python3
"""Checks deploy/kubernetes and deploy/docker: Kubernetes' own schemas, and what each container must not have.

Needs kubernetes-validate and PyYAML. Prints `N looked at` and each finding; exits 1 if there is one.
"""

import pathlib
import sys

import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
# The oldest whose features are used (sidecars, a pause in preStop), and the newest known.
VERSIONS = ["1.30", "1.37"]

seen = 0
findings = []


def holds(condition, finding):
    """Counts a look; notes what is wrong."""
    global seen
    seen += 1
    if not condition:
        findings.append(finding)


def kubernetes():
    """Schemas, and the rules of a restricted pod, also where Kubernetes would let them slip."""
    documents = list(yaml.safe_load_all((HERE / "kubernetes/dbal.yaml").read_text()))
    job = yaml.safe_load((HERE / "kubernetes/dead-pod.yaml").read_text())
    for document in [*documents, job]:
        name = f"{document['kind']} {document['metadata']['name']}"
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
                holds(True, "")
            except kubernetes_validate.ValidationError as error:
                holds(False, f"{name} is not valid in Kubernetes {version}: {str(error).splitlines()[0]}")
    kinds = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    deployment = kinds["Deployment", "dbal"]["spec"]
    pod = deployment["template"]["spec"]
    holds(deployment["replicas"] >= 3, "fewer than three pods")
    holds(pod["automountServiceAccountToken"] is False, "the pod holds a token for Kubernetes' own API")
    holds(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "no seccomp profile")
    holds(not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")), "shares a namespace")
    containers = {container["name"]: container for container in pod["containers"] + pod["initContainers"]}
    holds(set(containers) == {"broker", "worker", "audit"}, f"containers: {set(containers)}")
    for name in ("worker", "audit"):
        holds(containers[name].get("restartPolicy") == "Always", f"{name} is no sidecar")
    for name, container in containers.items():
        context = container["securityContext"]
        holds(context["runAsNonRoot"] is True and context["runAsUser"] > 0, f"{name} may be root")
        holds(context["readOnlyRootFilesystem"] is True, f"{name} may write its root")
        holds(context["allowPrivilegeEscalation"] is False, f"{name} may gain privileges")
        holds(context["capabilities"] == {"drop": ["ALL"]}, f"{name} keeps capabilities")
        holds("memory" in container["resources"]["limits"], f"{name} has no bound on memory")
        holds(not container["image"].endswith(":latest"), f"{name} has an image that changes")
    users = [container["securityContext"]["runAsUser"] for container in containers.values()]
    holds(len(set(users)) == len(users), "two containers are one user")

    secrets = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
    mounted = {
        name: {mount["name"] for mount in container["volumeMounts"]} & secrets for name, container in containers.items()
    }
    expected = {"broker": {"tls", "countersign"}, "worker": {"worker-config", "identity"}, "audit": set()}
    holds(mounted == expected, f"secrets are mounted as {mounted}")
    # What is sealed is out of the daemons' reach, and the journal out of the keeper's.
    writers = {
        volume: {
            name
            for name, container in containers.items()
            for mount in container["volumeMounts"]
            if mount["name"] == volume and not mount.get("readOnly")
        }
        for volume in ("audit", "sealed")
    }
    holds(writers == {"audit": {"worker"}, "sealed": {"audit"}}, f"who writes the audit journal: {writers}")
    sealed = [name for name in ("broker", "worker") if "sealed" in {mount["name"] for mount in containers[name]["volumeMounts"]}]
    holds(not sealed, f"{sealed} can see what is sealed")
    last = job["spec"]["template"]["spec"]
    claims = {volume["name"]: volume["persistentVolumeClaim"] for volume in last["volumes"]}
    kept = {volume["name"]: volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    holds(claims == kept, "the job for dead pods has other volumes")
    (keeper,) = last["containers"]
    for key in ("image", "securityContext", "resources"):
        holds(keeper[key] == containers["audit"][key], f"the job for dead pods has another {key} than the keeper")
    holds(last["securityContext"] == pod["securityContext"], "the job for dead pods is confined otherwise than the pod")
    known = {volume["name"] for volume in pod["volumes"]}
    for name, container in containers.items():
        holds({mount["name"] for mount in container["volumeMounts"]} <= known, f"{name} mounts an unknown volume")
    probe = containers["worker"]["livenessProbe"]
    mounts = {mount["mountPath"]: mount for mount in containers["worker"]["volumeMounts"]}
    program, *words = probe["exec"]["command"]
    holds(program == "/usr/bin/dbal-worker" and words[0] == "--alive", f"the worker's image has nothing but the worker: {program}")
    holds(words[-1] == "/run/dbal/worker.sock" and "/run/dbal" in mounts, "the worker's probe asks at another socket")
    holds(probe["timeoutSeconds"] > 3, "the worker's probe is cut off before it has waited")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        holds(containers["broker"][probe]["httpGet"]["scheme"] == "HTTPS", f"{probe} without TLS")

    labels = deployment["template"]["metadata"]["labels"]
    for kind, selector in (
        ("Service", kinds["Service", "dbal"]["spec"]["selector"]),
        ("PodDisruptionBudget", kinds["PodDisruptionBudget", "dbal"]["spec"]["selector"]["matchLabels"]),
        ("Deployment", deployment["selector"]["matchLabels"]),
        ("NetworkPolicy", kinds["NetworkPolicy", "dbal"]["spec"]["podSelector"]["matchLabels"]),
    ):
        holds(selector.items() <= labels.items(), f"{kind} selects no pod")
    nothing = kinds["NetworkPolicy", "nothing"]["spec"]
    holds(nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, "not everything is forbidden first")
    for rule in kinds["NetworkPolicy", "dbal"]["spec"]["egress"]:
        holds(rule.get("to") and rule.get("ports"), "egress to anywhere or to any port")


def compose():
    """What no schema knows: that every service is confined, and who shares what."""
    file = yaml.safe_load((HERE / "docker/compose.yaml").read_text())
    services = file["services"]
    for name, service in services.items():
        holds(service["read_only"] is True, f"{name} may write its root")
        holds(service["cap_drop"] == ["ALL"], f"{name} keeps capabilities")
        holds("no-new-privileges:true" in service["security_opt"], f"{name} may gain privileges")
        holds(service["pids_limit"] > 0, f"{name} has no bound on processes")
        holds(not service.get("privileged"), f"{name} is privileged")
        holds(name == "broker" or service["network_mode"] == "none", f"{name} has a network")
        holds(set(service.get("secrets", [])) <= set(file["secrets"]), f"{name} names an unknown secret")
    for name in ("broker", "worker", "audit"):
        holds("cap_add" not in services[name], f"{name} is given capabilities")
        holds(int(services[name]["user"].split(":")[0]) > 0, f"{name} is root")
    users = {services[name]["user"] for name in ("broker", "worker", "audit")}
    holds(len(users) == 3, "two services are one user")
    holds(services["broker"]["secrets"] == ["server.key", "countersign.key"], "the broker has a secret of the worker's")
    holds("secrets" not in services["audit"], "the keeper of the audit journal has a secret")
    writers = [name for name, service in services.items() if any(volume.startswith("sealed:") for volume in service["volumes"])]
    holds(writers == ["audit"], f"{writers} can reach what is sealed")
    holds("audit:/var/log/dbal:ro" in services["audit"]["volumes"], "the keeper can write the journal")
    holds("healthcheck" in services["postgresql"], "nobody waits for PostgreSQL")


kubernetes()
compose()
print(f"{seen} looked at")
for finding in findings:
    print(finding)
sys.exit(1 if findings else 0)
