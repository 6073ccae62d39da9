import { defineDestination, field } from '../../../src/kit/index.ts'
import { send } from './send.ts'

export default defineDestination({
  name: 'Webhook',
  otherNames: ['Webhooks'],
  description: 'Sends messages as JSON to any HTTP address, as they are or as you shape them, signed when you like.',
  settings: {
    url: field.string({
      label: 'URL',
      description: 'Where messages go, unless a mapping names another URL.',
      format: 'uri',
    }),
    sharedSecret: field.password({
      label: 'Shared secret',
      description:
        'Signs each request: the header X-Signature is then the HMAC-SHA1 of the body with this key, in lower-case hex digits.',
    }),
  },
  actions: { send },
  presets: [
    {
      name: 'Send everything',
      action: 'send',
      trigger:
        'type = "track" or type = "identify" or type = "page" or type = "screen" or type = "group" or type = "alias"',
      fields: {},
    },
  ],
})
