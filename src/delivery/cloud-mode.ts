import type { Snapshot, SnapshotSource } from '../snapshot/index.ts'

/** The destinations that we send to. Those of device mode are served by the page and are no connection here: nothing waits for them,
 *  and none of their messages is counted (contract: destinations.md §2). */
export function cloudModeOf(snapshots: SnapshotSource): SnapshotSource {
  // Asked often, and a snapshot never changes.
  const known = new WeakMap<Snapshot, Snapshot>()
  const withoutDeviceMode = (snapshot: Snapshot): Snapshot => {
    let found = known.get(snapshot)
    if (found === undefined) {
      found = { ...snapshot, destinations: snapshot.destinations.filter(({ mode }) => mode !== 'device') }
      known.set(snapshot, found)
    }
    return found
  }
  return {
    get current() {
      return withoutDeviceMode(snapshots.current)
    },
    onChange: (run) => snapshots.onChange((snapshot) => run(withoutDeviceMode(snapshot))),
    close: () => snapshots.close(),
  }
}
