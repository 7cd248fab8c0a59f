/** Decoding of the program's accounts and instructions by its interface description (IDL). */
import { base58 } from '@scure/base'
import idl from '../../../zmart_pipelines/program/zmart_core.json' with { type: 'json' }
import { areEqual } from './bytes.ts'

/** Integers are bigint, keys base58, byte arrays bytes, enums their number, absent options null. */
export type Value = bigint | number | boolean | string | Uint8Array | null
export type Values = Readonly<Record<string, Value>>

/** The bytes are not of the layout. */
export class DecodeError extends Error {}

type Type =
  | string
  | { readonly array: readonly [string, number] }
  | { readonly option: Type }
  | { readonly defined: { readonly name: string } }
interface Field {
  readonly name: string
  readonly type: Type
}

const DISCRIMINATOR_BYTES = 8
const INTEGER_BYTES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8, i64: 8 }

/** The address of the program that the IDL describes. */
export const PROGRAM: string = idl.address

/** The first bytes of every account of a type. */
export function accountDiscriminator(account: string): Uint8Array {
  const found = idl.accounts.find(({ name }) => name === account)
  if (found === undefined) throw new DecodeError(`the program has no account ${account}`)
  return Uint8Array.from(found.discriminator)
}

/** Decode an account; throws `DecodeError` where the bytes are of another one or too few. */
export function decodeAccount(account: string, data: Uint8Array): Values {
  expectDiscriminator(data, accountDiscriminator(account), account)
  return decodeFields(fieldsOf(account), data)
}

/** Decode an instruction's arguments, undefined where the bytes are of another instruction. */
export function decodeInstruction(instruction: string, data: Uint8Array): Values | undefined {
  const found = idl.instructions.find(({ name }) => name === instruction)
  if (found === undefined) throw new DecodeError(`the program has no instruction ${instruction}`)
  const discriminator = Uint8Array.from(found.discriminator)
  if (!areEqual(data.subarray(0, DISCRIMINATOR_BYTES), discriminator)) return undefined
  return decodeFields(found.args as unknown as readonly Field[], data)
}

/** The place of a field in an account, in bytes; fields before it must be of fixed size. */
export function fieldOffset(account: string, field: string): number {
  let offset = DISCRIMINATOR_BYTES
  for (const { name, type } of fieldsOf(account)) {
    if (name === field) return offset
    offset += fixedSize(type)
  }
  throw new DecodeError(`${account} has no field ${field}`)
}

function fieldsOf(struct: string): readonly Field[] {
  const found = idl.types.find(({ name }) => name === struct)
  if (found === undefined || !('fields' in found.type)) {
    throw new DecodeError(`the program has no struct ${struct}`)
  }
  return found.type.fields as unknown as readonly Field[]
}

function fixedSize(type: Type): number {
  if (typeof type === 'object') {
    if ('array' in type) return fixedSize(type.array[0]) * type.array[1]
    // Enums of the program have no data.
    if ('defined' in type) return 1
    throw new DecodeError('an option has no fixed size')
  }
  if (type === 'pubkey') return 32
  return type === 'bool' ? 1 : integerBytes(type)
}

function integerBytes(type: string): number {
  const size = INTEGER_BYTES[type]
  if (size === undefined) throw new DecodeError(`the type ${type} is not supported`)
  return size
}

function expectDiscriminator(data: Uint8Array, expected: Uint8Array, name: string): void {
  if (!areEqual(data.subarray(0, DISCRIMINATOR_BYTES), expected)) {
    throw new DecodeError(`the bytes are not of the type ${name}`)
  }
}

function decodeFields(fields: readonly Field[], data: Uint8Array): Values {
  const reader = new Reader(data)
  return Object.fromEntries(fields.map(({ name, type }) => [name, reader.read(type)]))
}

class Reader {
  readonly #data: Uint8Array
  #place = DISCRIMINATOR_BYTES

  constructor(data: Uint8Array) {
    this.#data = data
  }

  read(type: Type): Value {
    if (typeof type === 'object') return this.#readComposed(type)
    if (type === 'pubkey') return base58.encode(this.#take(32))
    if (type === 'bool') return this.#take(1)[0] === 1
    return this.#readInteger(integerBytes(type), type.startsWith('i'))
  }

  #readComposed(type: Exclude<Type, string>): Value {
    if ('array' in type) return this.#take(fixedSize(type))
    if ('option' in type) return this.#take(1)[0] === 0 ? null : this.read(type.option)
    return this.#take(1)[0] ?? 0
  }

  #readInteger(size: number, isSigned: boolean): bigint {
    const bytes = this.#take(size)
    const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    return isSigned ? BigInt.asIntN(size * 8, value) : value
  }

  #take(count: number): Uint8Array {
    const end = this.#place + count
    if (end > this.#data.length) throw new DecodeError('the bytes end too early')
    const taken = this.#data.subarray(this.#place, end)
    this.#place = end
    return taken
  }
}
