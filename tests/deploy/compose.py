#!/usr/bin/env python3
"""Checks compose.yaml as parsed by Docker Compose, and its settings with muster itself.

    tests/deploy/compose.py PATH-OF-MUSTER
"""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent.parent
MUSTER = "muster"


def parsed(**variables):
    """compose.yaml as parsed by Docker Compose."""
    command = ["docker-compose", "--file", str(HOME / "compose.yaml"), "config", "--format", "json"]
    ran = subprocess.run(command, env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = parsed()
        cls.services = cls.all["services"]

    def test_only_muster_is_reachable_and_from_this_machine_only(self):
        published = {name: service.get("ports", []) for name, service in self.services.items()}
        (port,) = published.pop("muster")
        self.assertEqual((port["host_ip"], port["published"], port["target"]), ("127.0.0.1", "8080", 8080))
        self.assertEqual(published, {"database": [], "secrets": []})
        self.assertEqual(set(self.services["database"]["networks"]), {"inside"})
        self.assertTrue(self.all["networks"]["inside"]["internal"])
        self.assertEqual(parsed(MUSTER_PORT="9000")["services"]["muster"]["ports"][0]["published"], "9000")

    def test_every_service_is_sandboxed(self):
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertIn("mem_limit", service)
        self.assertEqual([name for name, service in self.services.items() if "cap_add" in service], ["secrets"])
        self.assertEqual(self.services["secrets"]["network_mode"], "none")

    def test_it_contains_no_secrets(self):
        for name, service in self.services.items():
            for key in service.get("environment", {}):
                self.assertFalse("PASSWORD" in key and not key.endswith("_FILE"), (name, key))
        made = {"postgres_password", "database_url", "fingerprint_key"}
        named = {value.removeprefix("/run/muster/") for service in self.services.values() for value in service.get("environment", {}).values() if value and value.startswith("/run/muster/")}
        self.assertEqual(named, made)
        readers = [service for service in self.services.values() if service.get("environment")]
        for service in readers:
            (volume,) = (volume for volume in service["volumes"] if volume["source"] == "secrets")
            self.assertEqual((volume["target"], volume["read_only"]), ("/run/muster", True))

    def test_services_start_in_order(self):
        needs = lambda name: {on: need["condition"] for on, need in self.services[name].get("depends_on", {}).items()}
        self.assertEqual(needs("muster"), {"secrets": "service_completed_successfully", "database": "service_healthy"})
        self.assertEqual(needs("database"), {"secrets": "service_completed_successfully"})

    def test_muster_has_time_for_a_graceful_shutdown(self):
        drain = int(re.search(r"^shutdown_timeout_seconds = (\d+)$", (HOME / "config/muster.toml").read_text(), re.M)[1])
        self.assertEqual(self.services["muster"]["stop_grace_period"], "40s")
        self.assertGreater(40, drain + 10)

    def test_muster_accepts_the_settings(self):
        settings = dict(self.services["muster"]["environment"])
        # These files exist only in the volume.
        for name in ("MUSTER_DATABASE__URL_FILE", "MUSTER_SECRETS__SERVER_KEY_FILE"):
            settings.pop(name)
        settings["MUSTER_DATABASE__URL"] = "postgres://muster@database/muster"
        ran = subprocess.run([MUSTER, "config", "check"], env=settings, capture_output=True, text=True, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, "the configuration is valid\n"))


if __name__ == "__main__":
    MUSTER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
