"""The Pulumi program: one stack file in, one gateway out. ``praxis up STACK`` and plain ``pulumi up`` run the same."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path, as Pulumi does: make the rooms importable

import pulumi

from components.blueprint import blueprint
from components.resources.ai_gateway import AiGateway, AiGatewayArgs
from config import load_stack
from infra.custody import open_store
from infra.pace import keep_up
from infra.paths import STACKS, stack_folder
from infra.supply.built import built_images
from infra.supply.choice import settled
from infra.targets.docker import DockerSettings, DockerTarget


def main() -> None:
    """Declare the current Pulumi stack."""
    name = pulumi.get_stack()
    stack, folder = settled(name, load_stack(name, STACKS)), stack_folder(name)
    store = open_store(name, stack)
    target = DockerTarget(
        DockerSettings(
            stack=name,
            images=built_images(),
            config=folder.config,
            custody=folder.custody,
            admin_port=stack.edge.admin_port,
        )
    )
    secret = lambda key: pulumi.Output.secret(store.get(key))  # noqa: E731 - a name for a one-line lookup
    AiGateway("praxis", AiGatewayArgs(target=target, stack=stack, plan=blueprint(stack, name), secret=secret))


keep_up()
main()
