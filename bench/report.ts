/** Shared by the benchmarks: how results are summarised, printed and recorded. */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

const resultsPath = fileURLToPath(new URL('./RESULTS.md', import.meta.url))

/** `--short`: only shows that the benchmark runs. `--record`: writes its section of RESULTS.md. */
export const isShort = process.argv.includes('--short')
const isRecording = process.argv.includes('--record')

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** `q` from 0 to 1, of at least one value. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}

export interface Ratio {
  ours: number[]
  limit: number[]
  /** Median of the pairwise ratios ours / limit. */
  ratio: number
  ratioMin: number
  ratioMax: number
}

/** Runs limit and ours in turn, `rounds` times, so that a machine that drifts hits both. Figures are rates: more is better. */
export async function alternate(
  rounds: number,
  limit: () => Promise<number>,
  ours: () => Promise<number>,
): Promise<Ratio> {
  const result: Ratio = { ours: [], limit: [], ratio: 0, ratioMin: 0, ratioMax: 0 }
  for (let round = 0; round < rounds; round++) {
    result.limit.push(await limit())
    result.ours.push(await ours())
  }
  // Both lists have `rounds` entries.
  const ratios = result.ours.map((value, i) => value / result.limit[i]!)
  result.ratio = median(ratios)
  result.ratioMin = Math.min(...ratios)
  result.ratioMax = Math.max(...ratios)
  return result
}

export interface Row {
  what: string
  result: string
  budget: string
  isMet: boolean
  note?: string
}

/** Prints the rows and, with `--record`, replaces the section `title` in RESULTS.md. */
export function report(title: string, rows: readonly Row[]): void {
  const table = [
    '| What | Result | Budget | Met | Note |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      (row) => `| ${row.what} | ${row.result} | ${row.budget} | ${row.isMet ? 'yes' : 'no'} | ${row.note ?? ''} |`,
    ),
  ].join('\n')
  console.log(`\n## ${title}\n\n${table}\n`)
  if (isRecording && !isShort) recordSection(title, `${machine()}\n\n${table}`)
}

function machine(): string {
  const [cpu] = cpus()
  const day = new Date().toISOString().slice(0, 10)
  return `${day}, ${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}.`
}

function recordSection(title: string, body: string): void {
  const text = readFileSync(resultsPath, 'utf8')
  const section = `## ${title}\n\n${body}\n`
  const existing = new RegExp(`## ${title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\n[\\s\\S]*?(?=\\n## |$)`)
  writeFileSync(
    resultsPath,
    existing.test(text) ? text.replace(existing, () => section) : `${text.trimEnd()}\n\n${section}`,
  )
}

export function perSecond(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} k/s` : `${Math.round(value)}/s`
}
