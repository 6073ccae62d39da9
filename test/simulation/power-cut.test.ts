/** Told step by step what the schedules of `chain.test.ts` have found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPlatform } from './chain/processes.ts'
import { cutPower, send } from './chain/schedule.ts'
import { auditTopics, checkRecounts, comeToRest, startAll } from './chain/settle.ts'
import { World } from './chain/world.ts'

const seeds = Array.from({ length: 12 }, (_, index) => index + 1)

for (const isDatabaseLost of [false, true]) {
  const database = isDatabaseLost ? ' without its database' : ''
  test(`delivery${database} and loader may come up before those who write what they read: a mark that a power cut made old moves nothing back`, async () => {
    for (const seed of seeds) {
      const world = new World(seed)
      const platform = createPlatform(world)
      const { pipeline, delivery, loader } = platform
      await world.prepare()
      await startAll(world, platform.all)
      const marks = world.disk.paths().filter((path) => path.endsWith('/durable'))
      const old = marks.map((path) => world.disk.contentOf(path))
      for (let i = 0; i < 8; i += 1) {
        send(world, platform)
        await world.runFor(500)
      }
      const before = await comeToRest(world, platform)
      await world.runFor(5_000)
      const requests = world.vendor.requests.length

      cutPower(world)
      marks.forEach((path, index) => world.disk.setContent(path, old[index]!))
      if (isDatabaseLost && world.hasAllEvents) world.savedOutcomes.loseAll()
      await startAll(world, [delivery, loader])
      await world.runFor(3_000)
      const early = await world.finish('the status', delivery.room!.status())
      assert.ok(
        early.every(({ waiting, received, delivered }) => waiting >= 0 && received >= delivered),
        JSON.stringify(early),
      )
      await startAll(world, [pipeline])
      await startAll(world, platform.all)
      send(world, platform)
      await world.runFor(1_000)
      await comeToRest(world, platform)
      const sentAgain = world.vendor.requests
        .slice(requests)
        .flatMap(({ url, messages }) =>
          messages.filter(({ messageId }) =>
            world.vendor.requests
              .slice(0, requests)
              .some((other) => other.url === url && other.messages.some((one) => one.messageId === messageId)),
          ),
        )
      assert.deepEqual(sentAgain, [], `seed ${seed}: nothing is sent again`)
      assert.ok(before.pipeline.eventsEnd > 0)
      const statements = await comeToRest(world, platform)
      await checkRecounts(world, platform)
      for (const slot of platform.all) await slot.stop()
      await auditTopics(world, statements)
    }
  })
}
