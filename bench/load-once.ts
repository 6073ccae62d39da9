/** One load as the loader does it (parse, flatten, type, load, commit) of so many sample events; prints events per second. */
import { createBed } from '../src/loader/testing/loader-bed.ts'
import { sampleEvent } from './sample-event.ts'

const count = Number(process.argv[2])
const bed = await createBed()
try {
  for (let from = 0; from < count; from += 500)
    await bed.send(Array.from({ length: 500 }, (_, i) => sampleEvent(from + i)))
  const startedAt = performance.now()
  await bed.sync()
  console.log(count / ((performance.now() - startedAt) / 1000))
} finally {
  await bed.end()
}
