/** A store in a directory of its own, for tests of this room. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { silentLogger } from '../../base/logger.ts'
import { readSecretKey, type KeyRing } from '../../base/secrets.ts'
import { createRandom } from '../../base/seeded-random.ts'
import { parseConfig, type ConfigChecks } from '../config-file/parse-config.ts'
import type { Config } from '../config-file/config.ts'
import { openStore, type Store } from '../store.ts'

export interface TryStore {
  directory: string
  path: string
  store: Store
  now: number
  /** What a new destination starts at. */
  ends: Record<number, number>
  reopen(keys?: KeyRing): Promise<Store>
}

export async function tryStore(t: TestContext): Promise<TryStore> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-store-'))
  const random = createRandom(1)
  const path = join(directory, 'control.db')
  const open = (secrets: KeyRing = [readSecretKey('a key')]) =>
    openStore({
      path,
      clock: { now: () => tried.now, after: () => ({ timer: undefined }), clear: () => undefined },
      newId: () => random.uuid().replaceAll('-', ''),
      secrets,
      log: silentLogger,
      eventsEnds: async () => tried.ends,
    })
  const tried: TryStore = {
    directory,
    path,
    now: 1_700_000_000_000,
    ends: {},
    // Set below, before anybody sees it: opening it needs the clock of this object.
    store: undefined as unknown as Store,
    async reopen(keys) {
      await tried.store.close()
      return (tried.store = await open(keys))
    },
  }
  tried.store = await open()
  t.after(async () => {
    await tried.store.close()
    await rm(directory, { recursive: true })
  })
  return tried
}

/** Every connector is fine, and its `sharedSecret` and `password` are secret. */
export const lenientChecks: ConfigChecks = {
  destination: async () => [],
  warehouse: async () => [],
  isAddressRange: (text) => /^[\d.]+\/\d+$|^[\da-f:]+\/\d+$/.test(text),
  secretSettings: async () => ['sharedSecret', 'password'],
}

export function configOf(
  text: string,
  environment: Record<string, string> = {},
  checks: ConfigChecks = lenientChecks,
): Promise<Config> {
  return parseConfig(text, { fileName: 'tributary.yaml', environment, checks })
}
