/** Settings that every warehouse has, whatever its type (contract: warehouses.md §3.2, §4, §4.1). They stand among the
 *  connector's own settings. */
import { AppError } from '../base/errors.ts'

export interface LoadSettings {
  /** `safe` alters integer to float, boolean and timestamp to varchar when a value needs it; `off` never alters a column. */
  widenTypes: 'off' | 'safe'
  /** What happens to a property that is named like a column of ours: kept in `_unmapped`, or stored as `_<name>`. */
  reservedColumns: 'unmapped' | 'prefix'
  /** False: what does not fit is dropped (with a notice), as Segment does. */
  keepUnmapped: boolean
  /** Columns a table may have, ours included. */
  columnsMax: number
  /** Tables a source may have. */
  tablesMax: number
  /** Characters of a varchar cell; absent: no limit. */
  textLengthMax: number | undefined
}

export const defaultLoadSettings: LoadSettings = {
  widenTypes: 'safe',
  reservedColumns: 'unmapped',
  keepUnmapped: true,
  columnsMax: 1_500,
  tablesMax: 5_000,
  textLengthMax: undefined,
}

/** Reads the settings of a warehouse. Throws `bad_warehouse_settings` for a value that none of them can have. */
export function readLoadSettings(settings: Record<string, unknown>): LoadSettings {
  return {
    widenTypes: oneOf(settings, 'widenTypes', ['safe', 'off']),
    reservedColumns: oneOf(settings, 'reservedColumns', ['unmapped', 'prefix']),
    keepUnmapped: settings['keepUnmapped'] !== false,
    columnsMax: count(settings, 'columnsMax', defaultLoadSettings.columnsMax, 50),
    tablesMax: count(settings, 'tablesMax', defaultLoadSettings.tablesMax, 9),
    textLengthMax: settings['textLengthMax'] === undefined ? undefined : count(settings, 'textLengthMax', 0, 1),
  }
}

/** The first of the allowed values is the default. */
function oneOf<const T extends string>(settings: Record<string, unknown>, name: string, allowed: [T, ...T[]]): T {
  const value = settings[name] ?? allowed[0]
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw refused(name, `one of ${allowed.join(', ')}`)
  return found
}

function count(settings: Record<string, unknown>, name: string, byDefault: number, min: number): number {
  const value = settings[name] ?? byDefault
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min) {
    throw refused(name, `a whole number of at least ${min}`)
  }
  return value
}

function refused(name: string, wanted: string): AppError {
  return new AppError('bad_warehouse_settings', 400, `The warehouse setting "${name}" must be ${wanted}.`)
}
