/** Memory and processor time of the idle product: all processes together. */
import { cpuSeconds, memoryMb, startProduct } from './product.ts'
import { isShort, report } from './report.ts'

const seconds = isShort ? 5 : 30
const product = await startProduct({ batchSize: 1 })
try {
  await new Promise((resolve) => setTimeout(resolve, isShort ? 2_000 : 15_000))
  const before = cpuSeconds(product.platform)
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const after = cpuSeconds(product.platform)
  const memory = memoryMb(product.platform)
  const byRole = Object.keys(after.byRole)
    .map((role) => `${role} ${((((after.byRole[role] ?? 0) - (before.byRole[role] ?? 0)) / seconds) * 100).toFixed(2)}`)
    .join(', ')
  const percent = ((after.total - before.total) / seconds) * 100
  report('Idle', [
    {
      what: 'memory of all processes (proportional set size)',
      result: `${memory.total.toFixed(0)} MB`,
      budget: '≤ 300 MB',
      isMet: memory.total <= 300,
      note: JSON.stringify(memory.byRole),
    },
    {
      what: 'processor, of one core',
      result: `${percent.toFixed(2)} %`,
      budget: '< 1 %',
      isMet: percent < 1,
      note: byRole,
    },
  ])
} finally {
  await product.dispose()
}
