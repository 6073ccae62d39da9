/** Where an installation keeps what. */
import { join } from 'node:path'

export interface Paths {
  data: string
  journal: string
  archive: string
  /** Sockets and the snapshot file: all of it is made anew at each start. */
  run: string
  snapshot: string
  dedupe: string
  ids: string
  controlDatabase: string
  deliveryDatabase: string
  /** What the sources have sent, by name; a view of the journal. */
  schemaDatabase: string
  /** What the source debugger keeps; may be removed while nothing runs. */
  debuggerDatabase: string
  socketOf(role: string): string
}

export function pathsOf(dataDirectory: string): Paths {
  const run = join(dataDirectory, 'run')
  return {
    data: dataDirectory,
    journal: join(dataDirectory, 'journal'),
    archive: join(dataDirectory, 'archive'),
    run,
    snapshot: join(run, 'snapshot.json'),
    dedupe: join(dataDirectory, 'dedupe'),
    ids: join(dataDirectory, 'ids'),
    controlDatabase: join(dataDirectory, 'control.db'),
    deliveryDatabase: join(dataDirectory, 'delivery.db'),
    schemaDatabase: join(dataDirectory, 'schema.sqlite'),
    debuggerDatabase: join(dataDirectory, 'debugger.sqlite'),
    socketOf: (role) => join(run, `${role}.sock`),
  }
}
