/** A gateway in a process of its own, so that its memory can be measured: answers each message with its bytes. */
import { defaultDeployment } from '../../snapshot/index.ts'
import { startGateway } from './try-gateway.ts'

const limits = { ...defaultDeployment.limits, inFlightBytesMax: 16 * 1024 * 1024 }
const gateway = await startGateway({ settings: { limits } })
process.send?.({ port: gateway.port })
process.on('message', () => process.send?.({ rssBytes: process.memoryUsage.rss() }))
process.on('disconnect', () => {
  void gateway.stop().then(() => process.exit(0))
})
