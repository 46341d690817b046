#!/usr/bin/env python3
"""Renders the Helm chart with Helm's own library, checks it against the Kubernetes schemas, and its settings with
muster itself.

    tests/deploy/chart.py PATH-OF-MUSTER
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

HOME = Path(__file__).resolve().parent.parent.parent
CHART = HOME / "deploy/helm/muster"
MUSTER = "muster"
# The oldest version that the chart supports, and the newest one with schemas.
VERSIONS = ["1.30", "1.37"]
# Custom resources, which have no Kubernetes schema: the fields that the chart uses.
CUSTOM = {"ServiceMonitor": ({"selector", "namespaceSelector", "endpoints"}, {"port", "path", "interval"})}

LEAST = {"database": {"existingSecret": "db"}}
EXAMPLE = yaml.safe_load((HOME / "deploy/helm/examples/values.yaml").read_text())
EVERYTHING = {
    **EXAMPLE,
    "image": {"repository": "registry.example.org/muster", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "tls": {"existingSecret": "muster-tls"},
    "settings": {"server": {"public_url": "https://m.example.org"}, "batch": {"max_users": 50000}, "passwords": {"must_change": False}},
    "metrics": {"enabled": True, "port": 9999, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "service": {"annotations": {"a": "b"}, "port": 8443},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "accounts"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "serviceAccount": {"name": "m", "annotations": {"a": "b"}},
    "networkPolicy": {"extraEgress": [{"ports": [{"port": 4318, "protocol": "TCP"}]}]},
}
PLAIN = {
    **LEAST,
    "migrationJob": {"enabled": False},
    "metrics": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "serviceAccount": {"create": False},
    "preStopSleepSeconds": 0,
}
ALL = {"least": LEAST, "example": EXAMPLE, "everything": EVERYTHING, "plain": PLAIN}


def rendered(values, name="muster", **options):
    """All resources that Helm would create, by kind and name."""
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name=name, namespace="accounts", **options)
    made = {}
    for path, text in files.items():
        if path.endswith(".txt"):
            continue
        for document in yaml.safe_load_all(text):
            if document:
                made[document["kind"], document["metadata"]["name"]] = document
    return made


def pods(made):
    """The pod specifications."""
    for (kind, _), document in made.items():
        if kind in ("Deployment", "Job"):
            yield document["spec"]["template"]["spec"]
        elif kind == "Pod":
            yield document["spec"]


def environment(pod):
    return {variable["name"]: variable["value"] for variable in pod["containers"][0].get("env", [])}


def secrets(folder):
    """Writes the secrets as the pods see them."""
    for name in ("database", "fingerprint", "tls"):
        (folder / name).mkdir()
    (folder / "database/uri").write_text("postgresql://muster:secret@muster-db-rw:5432/muster")
    (folder / "fingerprint/key").write_text("0" * 64)
    files = ["-keyout", str(folder / "tls/tls.key"), "-out", str(folder / "tls/tls.crt")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=muster.example.org"]
    subprocess.run([*command, *files], capture_output=True, check=True)


class Chart(unittest.TestCase):
    def test_helm_lint_has_no_findings(self):
        for name, values in ALL.items():
            report = helm.lint(str(CHART), values, strict=True, kube_version="v1.30.0")
            # Only public catalogs need an icon.
            findings = [message for message in report["messages"] if "icon is recommended" not in str(message)]
            self.assertEqual((name, findings, report["errors"]), (name, [], []))

    def test_rendered_resources_match_the_kubernetes_schemas(self):
        for name, values in ALL.items():
            for (kind, _), document in rendered(values).items():
                if kind in CUSTOM:
                    continue
                for version in VERSIONS:
                    with self.subTest(values=name, kind=kind, version=version):
                        kubernetes_validate.validate(document, version, strict=True)

    def test_each_resource_is_rendered_only_when_enabled(self):
        kinds = lambda values: sorted(kind for kind, _ in rendered(values))
        self.assertEqual(kinds(PLAIN), ["Deployment", "Pod", "Service"])
        least = ["Deployment", "Job", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount"]
        self.assertEqual(kinds(LEAST), least)
        self.assertEqual(kinds(EXAMPLE), sorted(least + ["HorizontalPodAutoscaler", "Ingress"]))
        self.assertEqual(kinds(EVERYTHING), sorted(least + ["HorizontalPodAutoscaler", "Ingress", "Service", "ServiceMonitor"]))

    def test_the_service_monitor_selects_the_metrics_service(self):
        made = rendered(EVERYTHING)
        monitor = made["ServiceMonitor", "muster"]
        keys, endpoint = CUSTOM["ServiceMonitor"]
        self.assertEqual(set(monitor["spec"]), keys)
        self.assertEqual([set(each) for each in monitor["spec"]["endpoints"]], [endpoint])
        wanted, labels = monitor["spec"]["selector"]["matchLabels"], lambda name: made["Service", name]["metadata"]["labels"]
        self.assertLessEqual(wanted.items(), labels("muster-metrics").items())
        self.assertFalse(wanted.items() <= labels("muster").items())
        self.assertIn(monitor["spec"]["endpoints"][0]["port"], [port["name"] for port in made["Service", "muster-metrics"]["spec"]["ports"]])

    def test_every_pod_meets_the_restricted_profile_with_a_read_only_root(self):
        for name, values in ALL.items():
            for pod in pods(rendered(values)):
                with self.subTest(values=name, args=pod["containers"][0]["args"]):
                    self.assertEqual(pod["securityContext"]["runAsNonRoot"], True)
                    self.assertEqual(pod["securityContext"]["runAsUser"], 65532)
                    self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertEqual(pod["automountServiceAccountToken"], False)
                    (container,) = pod["containers"]
                    self.assertEqual(
                        container["securityContext"],
                        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                    )
                    self.assertLessEqual({"cpu", "memory"}, set(container["resources"]["limits"]))

    def test_selectors_match_only_the_server_pods(self):
        made = rendered(EVERYTHING)
        server = made["Deployment", "muster"]["spec"]["template"]["metadata"]["labels"]
        job = made["Job", "muster-migrate"]["spec"]["template"]["metadata"]["labels"]
        chosen = {
            "Deployment": made["Deployment", "muster"]["spec"]["selector"]["matchLabels"],
            "Service": made["Service", "muster"]["spec"]["selector"],
            "Metrics": made["Service", "muster-metrics"]["spec"]["selector"],
            "PodDisruptionBudget": made["PodDisruptionBudget", "muster"]["spec"]["selector"]["matchLabels"],
        }
        for name, wanted in chosen.items():
            self.assertLessEqual(wanted.items(), server.items(), name)
            self.assertFalse(wanted.items() <= job.items(), name)
        policy = made["NetworkPolicy", "muster"]["spec"]["podSelector"]["matchLabels"].items()
        self.assertTrue(policy <= server.items() and policy <= job.items())
        target = made["HorizontalPodAutoscaler", "muster"]["spec"]["scaleTargetRef"]
        self.assertEqual((target["kind"], target["name"]), ("Deployment", "muster"))
        self.assertNotIn("replicas", made["Deployment", "muster"]["spec"])

    def test_the_network_policy_admits_the_test_pod_without_applying_to_it(self):
        made = rendered(EXAMPLE)
        policy, labels = made["NetworkPolicy", "muster"]["spec"], made["Pod", "muster-test"]["metadata"]["labels"].items()
        self.assertFalse(policy["podSelector"]["matchLabels"].items() <= labels)
        (api, _) = policy["ingress"]
        peers = [peer["podSelector"]["matchLabels"].items() for peer in api["from"] if "podSelector" in peer]
        self.assertEqual([peer <= labels for peer in peers], [True])
        # All clients, if none are listed.
        self.assertNotIn("from", rendered(LEAST)["NetworkPolicy", "muster"]["spec"]["ingress"][0])

    def test_port_names_are_consistent(self):
        made = rendered(EVERYTHING)
        (container,) = made["Deployment", "muster"]["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(ports, {"http": 8080, "metrics": 9999})
        used = [port["targetPort"] for (kind, _), made in made.items() if kind == "Service" for port in made["spec"]["ports"]]
        used += [container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        self.assertEqual(set(used), {"http", "metrics"})

    def test_a_pod_has_time_for_a_graceful_shutdown(self):
        (container,) = (pod := next(pods(rendered(LEAST))))["containers"]
        drain = 25  # server.shutdown_timeout_seconds
        self.assertGreater(pod["terminationGracePeriodSeconds"], container["lifecycle"]["preStop"]["sleep"]["seconds"] + drain + 5)

    def test_the_migration_runs_first_and_needs_no_other_resource(self):
        job = rendered(LEAST)["Job", "muster-migrate"]
        self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")
        pod = job["spec"]["template"]["spec"]
        self.assertNotIn("serviceAccountName", pod)
        self.assertEqual(pod["containers"][0]["args"], ["migrate"])
        self.assertEqual([volume["secret"]["secretName"] for volume in pod["volumes"]], ["db"])

    def test_secrets_are_referenced_but_never_contained(self):
        for values in ALL.values():
            made = rendered(values)
            self.assertFalse([kind for kind, _ in made if kind == "Secret"])
            for pod in pods(made):
                for name in environment(pod):
                    self.assertNotIn(name, ("MUSTER_DATABASE__URL", "MUSTER_SECRETS__SERVER_KEY"))
        pod = next(pods(rendered(EVERYTHING)))
        files = [value for name, value in environment(pod).items() if name.endswith("_FILE")]
        mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        self.assertEqual(len(files), 4)
        self.assertTrue(all(os.path.dirname(file) in mounts for file in files))

    def test_muster_accepts_the_settings(self):
        with tempfile.TemporaryDirectory() as folder:
            secrets(Path(folder))
            for name, values in ALL.items():
                for pod in pods(rendered(values)):
                    settings = {key: value.replace("/run/muster", folder) for key, value in environment(pod).items()}
                    # The release's test pod reads no files.
                    if settings and "healthcheck" not in pod["containers"][0]["args"]:
                        command = [MUSTER, "config", "check"]
                        ran = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
                        self.assertEqual((name, ran.returncode, ran.stderr), (name, 0, "the configuration is valid\n"))

    def test_settings_become_environment_variables(self):
        settings = {"batch": {"max_users": 50000}, "passwords": {"must_change": False}, "server": {"trusted_proxies": ["10.0.0.0/8", "::1"]}}
        env = environment(next(pods(rendered({**LEAST, "settings": settings}))))
        self.assertEqual(env["MUSTER_BATCH__MAX_USERS"], "50000")
        self.assertEqual(env["MUSTER_PASSWORDS__MUST_CHANGE"], "false")
        self.assertEqual(env["MUSTER_SERVER__TRUSTED_PROXIES"], '["10.0.0.0/8","::1"]')

    def test_probes_use_tls_when_the_server_does(self):
        for values, scheme in ((LEAST, "HTTP"), (EVERYTHING, "HTTPS")):
            (container,) = next(pods(rendered(values)))["containers"]
            probes = [container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
            self.assertEqual([probe["scheme"] for probe in probes], [scheme] * 3)
            self.assertEqual([probe["path"] for probe in probes], ["/livez", "/livez", "/readyz"])

    def test_the_ingress_lets_a_list_of_users_take_minutes(self):
        more = {"ingress": {"enabled": True, "host": "muster.example.org", "annotations": {"a": "b"}}}
        annotations = rendered({**LEAST, **more})["Ingress", "muster"]["metadata"]["annotations"]
        self.assertEqual(annotations, {
            "a": "b",
            "nginx.ingress.kubernetes.io/proxy-read-timeout": "900",
            "nginx.ingress.kubernetes.io/proxy-body-size": "32m",
            "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
            "alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=900",
        })

    def test_the_test_pod_uses_tls_when_the_server_does(self):
        for values, expected in ((LEAST, {}), (EVERYTHING, {"MUSTER_SERVER__TLS_CERTIFICATE_FILE": "tls.crt", "MUSTER_SERVER__TLS_KEY_FILE": "tls.key"})):
            (pod,) = [document["spec"] for (kind, _), document in rendered(values).items() if kind == "Pod"]
            self.assertEqual(environment(pod), expected)

    def test_invalid_values_are_rejected_before_rendering(self):
        wrong = {
            "no database": {},
            "an empty database": {"database": {"existingSecret": ""}},
            "a misspelled key": {**LEAST, "replicas": 3},
            "a misspelled nested key": {**LEAST, "metrics": {"serviceMonitor": {"enable": True}}},
            "no replica": {**LEAST, "replicaCount": 0},
            "text for a number": {**LEAST, "replicaCount": "3"},
            "an unknown section": {**LEAST, "settings": {"sever": {"x": 1}}},
            "a secret in the settings": {**LEAST, "settings": {"database": {"url": "postgres://u:p@h/d"}}},
            "headers with a token": {**LEAST, "settings": {"traces": {"headers": "authorization: Bearer x"}}},
            "the section for secrets": {**LEAST, "settings": {"secrets": {"server_key": "x"}}},
            "no limits": {**LEAST, "resources": {"requests": {}, "limits": {"cpu": None, "memory": None}}},
            "an ingress without a host": {**LEAST, "ingress": {"enabled": True}},
            "an invalid digest": {**LEAST, "image": {"digest": "latest"}},
        }
        for name, values in wrong.items():
            with self.subTest(name), self.assertRaises(helm.HelmError):
                rendered(values)

    def test_resource_names_fit_for_any_release_name(self):
        for release in ("muster", "a" * 53, "accounts"):
            for (kind, name), document in rendered(EVERYTHING, name=release).items():
                self.assertLessEqual(len(name), 63, kind)
                if kind not in CUSTOM:
                    kubernetes_validate.validate(document, VERSIONS[-1], strict=True)

    def test_the_chart_has_the_version_of_muster(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        version = subprocess.run([MUSTER, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(version, f"muster {chart['appVersion']}\n")


class Database(unittest.TestCase):
    def test_the_example_creates_the_secret_of_the_values(self):
        cluster = yaml.safe_load((HOME / "deploy/helm/examples/postgres.yaml").read_text())
        self.assertEqual((cluster["apiVersion"], cluster["kind"]), ("postgresql.cnpg.io/v1", "Cluster"))
        self.assertEqual(EXAMPLE["database"]["existingSecret"], cluster["metadata"]["name"] + "-app")
        peers = EXAMPLE["networkPolicy"]["database"]["to"]
        self.assertEqual(peers[0]["podSelector"]["matchLabels"], {"cnpg.io/cluster": cluster["metadata"]["name"]})

    def test_the_example_has_enough_connections_for_all_replicas(self):
        cluster = yaml.safe_load((HOME / "deploy/helm/examples/postgres.yaml").read_text())
        replicas = rendered(EXAMPLE)["HorizontalPodAutoscaler", "muster"]["spec"]["maxReplicas"]
        # One more during a rollout; 10 for administrators.
        self.assertLessEqual((replicas + 1) * 28 + 10, int(cluster["spec"]["postgresql"]["parameters"]["max_connections"]))


if __name__ == "__main__":
    MUSTER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
