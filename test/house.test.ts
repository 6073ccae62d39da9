/** The map of the house (style.md, ARCHITECTURE.md): imports go down the floors, never up, never sideways, never in a circle.
 *  When the design changes, change the map here first. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const floors: Record<string, number> = {
  'src/base': 0,
  'src/protocol': 1,
  'src/language': 2,
  'src/kit': 3,
  'src/snapshot': 3,
  'src/journal': 4,
  'src/store': 4,
  'src/egress': 4,
  'src/demo': 4,
  'src/browser': 4,
  'src/catalog': 5,
  'src/pipeline': 6,
  'src/delivery': 6,
  'src/loader': 6,
  'src/archive': 6,
  'src/debugger': 6,
  'src/schema': 6,
  'src/gateway': 7,
  'src/api': 7,
  'src/main': 8,
  'src/supervisor': 9,
  'src/cli': 10,
}

/** What a connector may import of ours. */
const connectorRooms = ['src/kit', 'src/language', 'src/protocol', 'src/base']

interface Import {
  from: string
  to: string
}

function roomOf(file: string): string {
  const [top, second = '', third = ''] = file.split('/')
  return top === 'connectors' ? `connectors/${second}/${third}` : `${top}/${second.replace(/\.ts$/, '')}`
}

const files = globSync(['src/**/*.ts', 'connectors/**/*.ts'], { cwd: root }).map((file) => file.replaceAll('\\', '/'))
const imports: Import[] = files
  .filter((file) => !file.endsWith('.test.ts') && !file.includes('/testing/'))
  .flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => ({
      from: file,
      // The pattern has one group, which always takes part in a match.
      to: normalize(join(dirname(file), match[1]!)).replaceAll('\\', '/'),
    })),
  )

test('every room is on the map', () => {
  const unknown = new Set(files.map(roomOf).filter((room) => room.startsWith('src/') && floors[room] === undefined))
  assert.deepEqual([...unknown], [], 'a room that is not in `floors`: give it a floor, or move its files')
})

test('imports between rooms go down', () => {
  const wrong = imports.filter(({ from, to }) => {
    const [a, b] = [roomOf(from), roomOf(to)]
    return a !== b && a.startsWith('src/') && (b.startsWith('connectors/') || (floors[b] ?? 99) >= (floors[a] ?? 0))
  })
  assert.deepEqual(wrong, [], 'import from a floor below, or let main.ts pass the function in')
})

test('rooms are entered by their door, except base, which is a shelf', () => {
  const wrong = imports.filter(({ from, to }) => {
    const [a, b] = [roomOf(from), roomOf(to)]
    if (a === b) return to === `${a}/index.ts`
    const isFileRoom = to === `${b}.ts`
    return b !== 'src/base' && b.startsWith('src/') && !isFileRoom && to !== `${b}/index.ts`
  })
  assert.deepEqual(wrong, [], 'import `room/index.ts` from outside a room, and the file itself from inside it')
})

test('a connector imports the kit, the language, the protocol and its own folder, nothing else of ours', () => {
  const wrong = imports.filter(({ from, to }) => {
    const [a, b] = [roomOf(from), roomOf(to)]
    return a.startsWith('connectors/') && a !== b && !connectorRooms.includes(b)
  })
  assert.deepEqual(wrong, [])
})

test('no circle of files', () => {
  const next = new Map<string, string[]>()
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to])
  const done = new Set<string>()
  const circles: string[] = []
  function visit(file: string, path: string[]): void {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    else if (!done.has(file)) for (const each of next.get(file) ?? []) visit(each, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) visit(file, [])
  assert.deepEqual(circles, [])
})
