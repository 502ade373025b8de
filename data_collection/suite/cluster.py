"""Measure a suite on a Ray cluster: one worker per accelerator, pinned to its node.

A node announces its chips by a Ray resource with the catalogue's name:

    ray start --address=HEAD:6379 --resources='{"amd-mi210": 2}'      # two of them: two workers

Every node needs this checkout, installed with its extras. Workers measure and return rows; only the driver writes.
The driver keeps the queue: a task is open, in flight at one worker, or done. The task of a lost worker goes back to the
queue. Nodes are listed again each round, so they may join or return while the suite runs.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from data_collection.backends import backend
from data_collection.profile.environment import describe
from data_collection.profile.measure import Outcome
from data_collection.profile.session import Policy, Session, canaries, key_of, row_of
from data_collection.profile.tasks import Task
from data_collection.profile.worker import Worker
from data_collection.store import Row, key
from data_collection.suite.engine import Measured, Order
from data_collection.suite.plan import Device
from hetbench.catalog.chips import chips
from hetbench.catalog.own_chips import any_chip
from hetbench.errors import InvalidInputError, RefusedError

__all__ = ["Driver", "measured", "started"]

_LOSSES = 3
"""After this many lost workers a task becomes a row of status `error`, and a place is given up."""
_ROUND_S = 5.0
_VISIBLE = ("GPU", "NPU")
"""Resources by which Ray shows each worker its own accelerator."""


class Measurer:
    """The worker on a node, for one accelerator."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.backend, self.policy = backend(any_chip(name).family), policy
        self.device = Device.of(self.backend, describe(self.backend, name))
        self.session: Session | None = None

    def describe(self) -> Device:
        """Facts of the node from which the driver selects tasks."""
        return self.device

    def measure(self, task: Task, floors: dict[int | None, float]) -> Row:
        """Measure one task; `floors` are the canary's best times of earlier runs."""
        if self.session is None:
            worker = Worker.on(self.backend, self.device.environment.chip)
            self.session = Session(self.device.environment, worker, store=None, policy=self.policy, floors=floors)
        return self.session.measure(task, "")


@dataclass(slots=True)
class Hand:
    """The driver's view of a worker."""

    place: tuple[str, str, int]
    """Node, chip, and index on the node."""
    actor: Any
    device: Device | None = None
    """None until it has described itself."""
    task: str | None = None
    """Key of the task in flight."""


@dataclass(slots=True)
class Queue:
    """Tasks of one environment by key; tasks of equal keys are measured once."""

    tasks: dict[str, Task]
    waiting: deque[str]
    floors: dict[int | None, float]


@dataclass(slots=True)
class Driver:
    """The driver's state: workers, tasks in flight, losses, open tasks."""

    ray: Any
    order: Order
    hands: dict[Any, Hand] = field(default_factory=dict)
    """Pending reply -> worker."""
    idle: list[Hand] = field(default_factory=list)
    queues: dict[str, Queue] = field(default_factory=dict)
    """Environment -> its tasks."""
    open: set[str] = field(default_factory=set)
    """Keys of open tasks."""
    drawn: set[str] = field(default_factory=set)
    losses: dict[Any, int] = field(default_factory=dict)
    """Key or place -> number of lost workers."""

    def rows(self) -> Iterator[Measured]:
        """Yield rows as they arrive, until all tasks are done or no worker is left."""
        while True:
            self._recruit()
            self._assign()
            if not self.hands:
                break
            ready, _ = self.ray.wait(list(self.hands), num_returns=1, timeout=_ROUND_S)
            for reply in ready:
                yield from self._received(reply, self.hands.pop(reply))
        if not self.queues:
            raise RefusedError(f"no worker of the cluster could start. {_offer()}")
        if self.open:
            self.order.say(f"{len(self.open)} tasks are left: no node of the cluster can measure them. "
                           "Run the same command again when it is back.")  # fmt: skip

    def _recruit(self) -> None:
        """Start a worker on every accelerator that has none."""
        taken = {hand.place for hand in [*self.hands.values(), *self.idle]}
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        for node in self.ray.nodes():
            resources = node["Resources"] if node["Alive"] else {}
            for name in sorted(resources.keys() & chips().keys()):
                count = int(resources[name])
                shown = {kind: 1 for kind in _VISIBLE if resources.get(kind, 0) >= count}
                for number in range(count):
                    place = (node["NodeID"], name, number)
                    if place in taken or self.losses.get(place, 0) >= _LOSSES:
                        continue
                    actor = self.ray.remote(Measurer).options(
                        num_cpus=0, resources={name: 1, **shown}, max_restarts=0,
                        scheduling_strategy=strategy(node["NodeID"], soft=False),
                    ).remote(name, self.order.plan.policy)  # fmt: skip
                    self.hands[actor.describe.remote()] = Hand(place, actor)

    def _assign(self) -> None:
        """Give every idle worker the next open task of its environment."""
        for hand in list(self.idle):
            assert hand.device is not None
            queue = self.queues[hand.device.environment.id]
            while queue.waiting and queue.waiting[0] not in self.open:
                queue.waiting.popleft()  # taken by a worker of another environment
            if queue.waiting:
                hand.task = queue.waiting.popleft()
                self.open.remove(hand.task)
                self.idle.remove(hand)
                self.hands[hand.actor.measure.remote(queue.tasks[hand.task], queue.floors)] = hand

    def _received(self, reply: Any, hand: Hand) -> Iterator[Measured]:
        try:
            answer = self.ray.get(reply)
        except self.ray.exceptions.RayTaskError as error:
            yield from self._failed(hand, str(error.cause or error))
            return
        except self.ray.exceptions.RayError as error:
            yield from self._lost(hand, type(error).__name__)
            return
        if hand.device is None:
            hand.device = answer
            self._draw(answer)
        else:
            yield self._row(hand, answer)
            hand.task = None
        self.idle.append(hand)

    def _draw(self, device: Device) -> None:
        """Register the tasks of a device with a new environment."""
        environment = device.environment
        if environment.id in self.queues:
            return
        tasks = {key_of(environment, task): task for task in self.order.due(device)}
        self.queues[environment.id] = Queue(tasks, deque(tasks), canaries(self.order.store, environment))
        self.open |= tasks.keys() - self.drawn
        self.drawn |= tasks.keys()

    def _failed(self, hand: Hand, said: str) -> Iterator[Measured]:
        """The worker is alive but its code failed to load: give up the place."""
        self.losses[hand.place] = _LOSSES
        yield from self._lost(hand, said.strip().splitlines()[-1])

    def _lost(self, hand: Hand, how: str) -> Iterator[Measured]:
        """Put the task back into the queue, unless it has lost too many workers."""
        node, name, number = hand.place
        self.losses[hand.place] = self.losses.get(hand.place, 0) + 1
        self.order.say(f"lost the worker {name} {number} of node {node[:8]}: {how}")
        self.ray.kill(hand.actor)
        if hand.task is None or hand.device is None:
            return
        self.losses[hand.task] = self.losses.get(hand.task, 0) + 1
        if self.losses[hand.task] >= _LOSSES:
            environment, now = hand.device.environment, datetime.now(UTC).isoformat(timespec="seconds")
            outcome = Outcome("error", f"{_LOSSES} workers were lost while measuring this; the last: {how}")
            task = self.queues[environment.id].tasks[hand.task]
            yield self._row(hand, row_of(environment, task, outcome, "", now))
            return
        self.open.add(hand.task)
        for queue in self.queues.values():
            if hand.task in queue.tasks:
                queue.waiting.append(hand.task)

    def _row(self, hand: Hand, row: Row) -> Measured:
        assert hand.device is not None
        assert key(row) == hand.task
        flying = sum(other.task is not None for other in self.hands.values())
        environment = hand.device.environment
        return Measured(self.queues[environment.id].tasks[hand.task], row, environment, len(self.open) + flying)


def started(address: str | None, name: str | None) -> Any:
    """ray, connected to the cluster at `address`, or to a local one that announces the chip `name`."""
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise RefusedError("--engine ray needs Ray. Run: pip install --editable '.[collect,cluster]'") from None
    if address:
        _answering(address)
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(resources={name: 1} if name else None, include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RefusedError(f"no Ray cluster at {address or 'this machine'}: {error}") from None
    return ray


def _answering(address: str) -> None:
    """Refuse an address at which nothing listens: Ray itself would retry for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise InvalidInputError(f"--address {address!r} must be HOST:PORT, ray://HOST:PORT or auto.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise RefusedError(f"no Ray cluster at {address}: {error}. Start one: ray start --head --port={port}") from None


def measured(order: Order, ray: Any) -> Iterator[Measured]:
    """Measure on every node of the cluster that announces a chip."""
    if not any(node["Alive"] and node["Resources"].keys() & chips().keys() for node in ray.nodes()):
        raise RefusedError(f"no node of the cluster offers a chip. {_offer()}")
    driver = Driver(ray, order)
    try:
        yield from driver.rows()
    finally:
        for hand in [*driver.hands.values(), *driver.idle]:
            ray.kill(hand.actor)


def _offer() -> str:
    return "Start nodes with the catalogue's name: ray start --address=HEAD:6379 --resources='{\"amd-mi210\": 2}'"
