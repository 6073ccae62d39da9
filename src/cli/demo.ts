import { systemClock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import { runDemo, type DemoProgress } from '../demo/index.ts'
import { readStartOptions } from '../main/index.ts'
import { readArguments, readNumber, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Send believable traffic of a small shop.',
  help: `
Usage: tributary demo [--rate N] [--count N] [--batch N] [--seed N] [--write-key KEY] [--url URL]

Sends anonymous visits, sign-ups, orders and refunds through the public tracking API: people with several sessions and devices,
some with a wrong clock, and now and then a message twice. The same seed gives the same shop.

  --rate N         messages per second (50)
  --count N        stop after so many messages (1000); 0 goes on until Ctrl-C
  --batch N        messages per request; 1 sends each by itself (10)
  --seed N         which shop (1)
  --write-key KEY  of the source to send to (the first one of the running server)
  --url URL        where to send (the running server)
  --json           print the result as JSON

Example:
  tributary demo --rate 200 --count 10000
`,
  async run({ arguments: args, environment, print, complain }) {
    const text = { type: 'string' } as const
    const { values } = readArguments(
      args,
      { rate: text, count: text, batch: text, seed: text, 'write-key': text, url: text, json: { type: 'boolean' } },
      { min: 0, max: 0, names: 'no words' },
    )
    const count = readNumber(values.count, 'count', 1000)
    const { host, port, tls } = readStartOptions(environment)
    let isStopped = false
    process.once('SIGINT', () => (isStopped = true))
    let shownAtMs = Date.now()
    const result = await runDemo({
      url: values.url ?? `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
      trustsAnyCertificate: values.url === undefined,
      writeKey: values['write-key'] ?? (await firstWriteKey(environment)),
      rate: readNumber(values.rate, 'rate', 50, 0.1),
      count: count === 0 ? Infinity : count,
      batch: readNumber(values.batch, 'batch', 10, 1),
      seed: readNumber(values.seed, 'seed', 1),
      clock: systemClock,
      isStopped: () => isStopped,
      onProgress(progress) {
        if (Date.now() - shownAtMs < 1000) return
        shownAtMs = Date.now()
        complain(describe(progress, count))
      },
    })
    await print(values.json ? JSON.stringify(result) : describe(result, count))
    return 0
  },
}

function describe({ acknowledged, retries, made }: DemoProgress, count: number): string {
  const share = count === 0 ? '' : ` of ${count.toLocaleString('en')}`
  const again = retries === 0 ? '' : `, ${retries} requests sent again`
  return `${acknowledged.toLocaleString('en')}${share} messages accepted (${made.duplicates} of them duplicates, ${made.signUps} sign-ups, ${made.orders} orders${again})`
}

async function firstWriteKey(environment: NodeJS.ProcessEnv): Promise<string> {
  const client = await openControlClient(environment, { needsServer: 'demo' })
  try {
    const key = await client.call('firstWriteKey')
    if (typeof key === 'string') return key
    throw new AppError('no_source', 404, 'There is no source to send to.', {
      hint: 'Name one in tributary.yaml, or give --write-key.',
    })
  } finally {
    await client.close()
  }
}
