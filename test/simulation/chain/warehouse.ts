/**
 * A warehouse in memory, transactional as real ones are: a load happens wholly or not at all, and what was committed survives
 * kills and power cuts. The answer to a commit may be lost. A warehouse on another machine commits what reached it although the
 * loader has died meanwhile.
 */
import type {
  ColumnType,
  Load,
  LoadCursor,
  LoadRecord,
  LoadResult,
  TableRows,
  TableSchema,
  UpsertRows,
  WarehouseConnection,
} from '../../../src/kit/index.ts'
import type { Random } from '../../../src/base/seeded-random.ts'
import type { Process } from '../scheduler.ts'

/** How often an append row was offered, and in how many loads whose end the loader was never told as a success. */
export interface Offered {
  count: number
  unsureCount: number
}

interface Table {
  columns: Map<string, ColumnType>
  /** Column values by id; of an append table, how often an id was inserted is in `inserts`. */
  rows: Map<string, Map<string, unknown>>
  inserts: Map<string, number>
}

interface CommittedLoad extends LoadRecord {
  source: string
  partition: number
  journalId: string
}

export class SimulatedWarehouse {
  /** How often a load fails, before or after its commit. */
  trouble = 0
  /** Planted bug: rows are inserted whether their id is there or not. */
  skipsAntiJoin = false
  readonly tables = new Map<string, Table>()
  readonly cursors = new Map<string, LoadCursor>()
  readonly offered = new Map<string, Offered>()
  readonly #loads: CommittedLoad[] = []
  readonly #random: Random
  /** Where commits happen: a process that no kill of ours reaches, or undefined for a warehouse inside the loader. */
  readonly #server: Process | undefined

  constructor(random: Random, server: Process | undefined) {
    this.#random = random
    this.#server = server
  }

  connect(process: Process, traced: (what: string) => void): WarehouseConnection {
    const ask = <T>(answer: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const server = this.#server ?? process
        server.schedule(() => {
          const told = attempt(answer)
          process.schedule(() => (told.ok ? resolve(told.value) : reject(told.error)))
        })
      })
    return {
      readSchema: (schemas) => ask(() => this.#readSchema(schemas)),
      readCursors: () => ask(() => [...this.cursors.values()].map((cursor) => structuredClone(cursor))),
      load: (load) => {
        const offers = this.#noteOffers(load)
        const fate = this.#random.chance(this.trouble) ? this.#random.pick(['refused', 'lost'] as const) : 'committed'
        return ask(() => {
          traced(`load ${fate} ${load.cursors.map(({ source, offset }) => `${source} ${offset}`).join()}`)
          if (fate === 'refused') throw new Error('the warehouse is busy')
          const result = this.#commit(load)
          if (fate === 'lost') throw new Error('the connection to the warehouse broke')
          return result
        }).then((result) => {
          for (const offer of offers) offer.unsureCount -= 1
          return result
        })
      },
      query: () => Promise.reject(new Error('nobody asks')),
      readLoads: (journalId, source, partition, offset) =>
        ask(() =>
          this.#loads
            .filter((load) => load.journalId === journalId && load.source === source && load.partition === partition)
            .filter(({ fromOffset, toOffset }) => fromOffset <= offset && offset < toOffset)
            .reverse(),
        ),
      close: async () => {},
    }
  }

  /** Ids of the rows of an append table, with how often each is there. */
  rowsOf(schema: string, table: string): ReadonlyMap<string, number> {
    return this.tables.get(`${schema}.${table}`)?.inserts ?? new Map()
  }

  /** Counted as unsure until the loader hears of the success. */
  #noteOffers(load: Load): Offered[] {
    return load.append.flatMap((rows) =>
      idsOf(rows).map((id) => {
        const key = `${rows.schema}.${rows.table} ${id}`
        const offer = this.offered.get(key) ?? { count: 0, unsureCount: 0 }
        this.offered.set(key, offer)
        offer.count += 1
        offer.unsureCount += 1
        return offer
      }),
    )
  }

  #readSchema(schemas: string[]): TableSchema[] {
    return [...this.tables].flatMap(([name, { columns }]) => {
      const [schema = '', table = ''] = name.split('.')
      return schemas.includes(schema) ? [{ schema, table, columns: new Map(columns) }] : []
    })
  }

  /** Checks everything before it changes anything, which makes it a transaction. */
  #commit(load: Load): LoadResult {
    const changed = new Map<string, Map<string, ColumnType>>()
    const columnsOf = ({ schema, table }: { schema: string; table: string }) => {
      const name = `${schema}.${table}`
      const columns = changed.get(name) ?? new Map(this.tables.get(name)?.columns)
      changed.set(name, columns)
      return columns
    }
    for (const table of load.createTables) {
      if (columnsOf(table).size > 0) throw new Error(`the table ${table.table} exists`)
      for (const [column, type] of table.columns) columnsOf(table).set(column, type)
    }
    for (const added of load.addColumns) {
      if (columnsOf(added).has(added.column)) throw new Error(`the column ${added.table}.${added.column} exists`)
      columnsOf(added).set(added.column, added.type)
    }
    for (const { to, column, ...table } of load.alterColumns) columnsOf(table).set(column, to)
    for (const rows of [...load.append, ...load.upsert]) {
      const missing = rows.columns.find(({ name }) => !columnsOf(rows).has(name))
      if (missing !== undefined) throw new Error(`there is no column ${rows.table}.${missing.name}`)
    }
    for (const [name, columns] of changed) this.#table(name).columns = columns
    return this.#write(load)
  }

  #write(load: Load): LoadResult {
    const inserted = new Map<string, number>()
    const newIds = new Map<string, Set<string>>()
    for (const rows of load.append) {
      const fresh = this.#insert(rows)
      newIds.set(rows.table, fresh)
      inserted.set(`${rows.schema}.${rows.table}`, fresh.size)
    }
    for (const rows of load.upsert) this.#merge(rows, newIds)
    for (const { fromOffset, ...cursor } of load.cursors) {
      this.cursors.set(`${cursor.source} ${cursor.partition}`, structuredClone(cursor))
      const { journalId, source, partition, offset: toOffset } = cursor
      const committedAt = load.startedAt
      this.#loads.push({ id: load.id, fromOffset, toOffset, committedAt, journalId, source, partition })
    }
    return { inserted }
  }

  #insert(rows: TableRows): Set<string> {
    const table = this.#table(`${rows.schema}.${rows.table}`)
    const fresh = new Set<string>()
    for (const [index, id] of idsOf(rows).entries()) {
      const count = table.inserts.get(id) ?? 0
      if (count > 0 && !this.skipsAntiJoin) continue
      fresh.add(id)
      table.inserts.set(id, count + 1)
      table.rows.set(id, rowAt(rows, index))
    }
    return fresh
  }

  #merge(rows: UpsertRows, newIds: ReadonlyMap<string, Set<string>>): void {
    const table = this.#table(`${rows.schema}.${rows.table}`)
    for (const [index, id] of idsOf(rows).entries()) {
      const { onlyIfNew } = rows
      if (onlyIfNew !== undefined && newIds.get(onlyIfNew.table)?.has(onlyIfNew.ids[index]!) === false) continue
      table.inserts.set(id, 1)
      const row = table.rows.get(id) ?? new Map<string, unknown>()
      for (const [column, cell] of rowAt(rows, index)) if (cell !== undefined) row.set(column, cell)
      table.rows.set(id, row)
    }
  }

  #table(name: string): Table {
    let table = this.tables.get(name)
    if (table === undefined) {
      table = { columns: new Map(), rows: new Map(), inserts: new Map() }
      this.tables.set(name, table)
    }
    return table
  }
}

/** The kit promises the column `id`, filled with text. */
function idsOf(rows: TableRows): string[] {
  return rows.columns.find(({ name }) => name === 'id')!.cells as string[]
}

function rowAt(rows: TableRows, index: number): Map<string, unknown> {
  return new Map(rows.columns.map(({ name, cells }) => [name, cells[index]]))
}

function attempt<T>(run: () => T): { ok: true; value: T } | { ok: false; error: unknown } {
  try {
    return { ok: true, value: run() }
  } catch (error) {
    return { ok: false, error }
  }
}
