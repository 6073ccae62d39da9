import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createFixedSnapshotSource,
  defaultDeployment,
  type DestinationSnapshot,
  type Snapshot,
} from '../snapshot/index.ts'
import { cloudModeOf } from './cloud-mode.ts'

const destination = (number: number, mode?: 'cloud' | 'device'): DestinationSnapshot => ({
  ...{ number, id: `dst_${number}`, workspace: 1, source: 1, slug: `d${number}`, name: 'D', type: 'webhook' },
  ...{ isEnabled: true, settings: {}, filters: [], delivery: {}, start: {} },
  ...(mode === undefined ? {} : { mode }),
})
const snapshotOf = (destinations: DestinationSnapshot[]): Snapshot => ({
  ...{ number: 1, publishedAtMs: 0, workspaces: [], sources: [], warehouses: [], settings: defaultDeployment },
  destinations,
})

test('destinations in the page are none of ours, now and after a change', () => {
  const snapshots = createFixedSnapshotSource(snapshotOf([destination(1), destination(2, 'device')]))
  const cloud = cloudModeOf(snapshots)
  assert.deepEqual(
    cloud.current.destinations.map(({ number }) => number),
    [1],
  )
  assert.equal(cloud.current, cloud.current)
  const seen: number[][] = []
  cloud.onChange(({ destinations }) => seen.push(destinations.map(({ number }) => number)))
  snapshots.replace(snapshotOf([destination(3, 'cloud'), destination(4, 'device')]))
  assert.deepEqual(seen, [[3]])
})
