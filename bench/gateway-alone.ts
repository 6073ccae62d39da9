/** Only the gateway, over a journal in a temporary folder: what the ingest benchmark measures. Arguments: port, number of sources. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes, randomUUID } from 'node:crypto'
import { systemClock } from '../src/base/clock.ts'
import { diskFileSystem } from '../src/base/file-system.ts'
import { silentLogger } from '../src/base/logger.ts'
import { readSecretKey } from '../src/base/secrets.ts'
import { createMetrics } from '../src/base/metrics.ts'
import { createGateway } from '../src/gateway/index.ts'
import { openJournal } from '../src/journal/index.ts'
import { createFixedSnapshotSource, defaultDeployment } from '../src/snapshot/index.ts'

const directory = await mkdtemp(join(process.env['BENCH_DIRECTORY'] ?? tmpdir(), 'tributary-gateway-'))
const journal = await openJournal({
  directory,
  fileSystem: diskFileSystem,
  clock: systemClock,
  newId: () => randomBytes(16).toString('hex'),
})
const gateway = await createGateway({
  journal,
  snapshots: createFixedSnapshotSource({
    number: 1,
    publishedAtMs: 0,
    workspaces: [{ number: 1, id: 'ws_1', slug: 'bench', name: 'Bench' }],
    sources: Array.from({ length: Number(process.argv[3] ?? 1) }, (_, i) => ({
      number: i + 1,
      id: `src_${i + 1}`,
      workspace: 1,
      slug: `api-${i + 1}`,
      name: `API ${i + 1}`,
      type: 'http-api',
      isEnabled: true,
      isClientSide: false,
      writeKeys: [i === 0 ? 'bench_key' : `bench_key_${i}`],
      ip: 'keep',
    })),
    destinations: [],
    warehouses: [],
    settings: defaultDeployment,
  }),
  clock: systemClock,
  random: Math.random,
  secrets: [readSecretKey('a key of the test')],
  newId: randomUUID,
  log: silentLogger,
  metrics: createMetrics('gateway'),
  partition: 0,
  nextOffsetAtLeast: 0,
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  controlSocketPath: join(directory, 'control.sock'),
})
process.on('SIGTERM', () => {
  void gateway
    .stop()
    .then(() => journal.close())
    .then(() => rm(directory, { recursive: true }))
    .then(() => process.exit(0))
})
console.log('ready')
