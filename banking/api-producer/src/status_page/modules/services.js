// The services with their queues, and the instances of all of them.

import { byId, say } from "./elements.js";
import { tell } from "./language.js";
import { count, time } from "./numbers.js";
import { head, keyed, tableRow } from "./rows.js";

const SERVICES = ["queue", "state", "column.inFlight", "column.depth", "column.calls", "column.failures", "column.dead", "column.breaker"];
const INSTANCES = ["column.instance", "state", "column.version", "column.host", "column.inFlight", "column.seen"];

export function services() {
  head(byId("services-head"), SERVICES);
  head(byId("instances-head"), INSTANCES);
  const showServices = keyed(byId("services"), () => filled(SERVICES, ofService));
  const showInstances = keyed(byId("instances"), () => filled(INSTANCES, ofInstance));
  return {
    show(status) {
      showServices(status.services, (service) => service.queue);
      const instances = status.services.flatMap(({ queue, instances: all }) =>
        all.map((instance) => ({ ...instance, queue })),
      );
      showInstances(instances, (instance) => instance.id);
      byId("instances-none").hidden = instances.length > 0;
      say(byId("registry"), status.registry ? null : tell("registry.away"));
      const { service, version, started_at: startedAt } = status.gateway;
      byId("gateway").textContent = tell("gateway", { service, version, time: time(startedAt) });
    },
  };
}

function filled(columns, values) {
  const { row, fill } = tableRow(columns);
  return { row, update: (item) => fill(values(item)) };
}

function ofService(service) {
  const dead = service.dead_letters;
  const failures = service.failures_per_second;
  return [
    service.queue,
    [tell(`status.${service.status}`), service.status],
    count(service.in_flight),
    count(service.queue_depth),
    count(service.calls_per_second),
    [count(failures), failures > 0 ? "down" : ""],
    [count(dead), dead > 0 ? "down" : ""],
    service.breaker === null ? "–" : [tell(`breaker.${service.breaker}`), service.breaker],
  ];
}

function ofInstance(instance) {
  const state = instance.draining ? "draining" : "up";
  return [
    `${instance.queue} ${instance.id.slice(0, 8)}…${instance.id.slice(-4)}`,
    [tell(`status.${state}`), state],
    instance.version ?? "–",
    `${instance.host} ${instance.program}/${instance.process}`,
    count(instance.in_flight),
    time(instance.last_seen),
  ];
}
