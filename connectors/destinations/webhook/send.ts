import { createHmac } from 'node:crypto'
import {
  BadPayload,
  BadSettings,
  defineAction,
  field,
  type SendOptions,
  type SendRequest,
} from '../../../src/kit/index.ts'

/** Messages in one request once batching is on (contract: destinations.md §9.2). */
const BATCH_SIZE_DEFAULT = 1000
const BATCH_SIZE_MAX = 4000

const methods = ['POST', 'PUT', 'PATCH'] as const

export const send = defineAction({
  title: 'Send',
  description: 'Sends the message, or what you make of it, as the JSON body of a request.',
  fields: {
    url: field.string({
      label: 'URL',
      description: 'Where the request goes. Left out, it goes to the URL of the settings.',
      format: 'uri',
    }),
    method: field.string({
      label: 'Method',
      description: 'The HTTP method.',
      choices: methods.map((value) => ({ label: value, value })),
      default: 'POST',
    }),
    data: field.object({
      label: 'Data',
      description: 'What the body says. Left out, it is the whole message.',
      default: { '@path': '$.' },
    }),
    headers: field.object({
      label: 'Headers',
      description:
        'More headers, a name and a value each, in ASCII. Those that belong to the connection (Host, Content-Length, …) are ours.',
    }),
    enable_batching: field.boolean({
      label: 'Batch',
      description: 'Sends several messages in one request, whose body is then an array.',
      default: false,
    }),
    batch_size: field.integer({
      label: 'Batch size',
      description: `How many messages one request holds at most, up to ${BATCH_SIZE_MAX}. From 2 on it switches batching on; ${BATCH_SIZE_DEFAULT} when batching is on and this is left out.`,
      default: 0,
    }),
  },

  batchSizeMax({ enable_batching: isEnabled, batch_size: size = 0 }) {
    if (size >= 2) return Math.min(size, BATCH_SIZE_MAX)
    return isEnabled ? BATCH_SIZE_DEFAULT : 1
  },

  batchKey: ({ url, method, headers }) => JSON.stringify([url, method, headers]),

  async perform(request, { payload, settings, messagesJson }) {
    const body = bodyOf(payload.data, messagesJson[0])
    await post(request, payload, settings, body, body)
  },

  async performBatch(request, { payload: payloads, settings, messagesJson }) {
    const [first] = payloads
    if (first === undefined) return undefined
    const bodies = payloads.map(({ data }, index) => bodyOf(data, messagesJson[index]))
    // Segment signs the first element of a batch, not the array, and receivers check just that.
    await post(request, first, settings, `[${bodies.join(',')}]`, bodies[0] ?? '')
    return undefined
  },
})

/** The bytes of the journal where they will do: they are compact JSON in its natural key order, which is what receivers
 *  serialise again to check the signature, and numbers keep every digit. */
function bodyOf(data: unknown, messageJson: string | undefined): string {
  if (data === null)
    throw new BadPayload('The field "data" came to nothing for this message, so there is nothing to send.')
  return data === undefined ? (messageJson ?? '') : JSON.stringify(data)
}

interface Target {
  url?: string
  method?: string
  headers?: Record<string, unknown>
}

async function post(
  request: SendRequest,
  target: Target,
  settings: Record<string, unknown>,
  body: string,
  signed: string,
): Promise<void> {
  const headers = headersOf(target.headers)
  const secret = settings['sharedSecret']
  if (typeof secret === 'string' && secret !== '') {
    delete headers['x-signature']
    headers['X-Signature'] = createHmac('sha1', secret).update(signed).digest('hex')
  }
  await request(urlOf(target, settings), { method: methodOf(target.method), headers, body })
}

function urlOf({ url }: Target, settings: Record<string, unknown>): string {
  const text = url || settings['url']
  if (typeof text !== 'string' || text === '') {
    throw new BadSettings(
      'There is no URL to send to: set "url" in the settings of this webhook, or in the fields of its mapping.',
    )
  }
  // The text itself may hold a secret, so it is not repeated.
  if (!URL.canParse(text)) throw new BadSettings('The URL to send to cannot be read; it should begin with https://.')
  return text
}

function methodOf(method: string | undefined): SendOptions['method'] {
  return methods.find((known) => known === method) ?? 'POST'
}

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i
const HEADER_VALUE = /^[\t\x20-\x7e]*$/

/** The headers of a request; names in lower case, except for our own. */
function headersOf(custom: Record<string, unknown> = {}): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(custom)) {
    if (value === null || value === undefined) continue
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
    if (!HEADER_NAME.test(name)) throw new BadPayload(`"${name}" cannot be the name of a header.`)
    if (!HEADER_VALUE.test(text)) throw new BadPayload(`The value of the header "${name}" must be printable ASCII.`)
    headers[name.toLowerCase()] = text
  }
  if (headers['content-type'] === undefined) headers['Content-Type'] = 'application/json'
  return headers
}
