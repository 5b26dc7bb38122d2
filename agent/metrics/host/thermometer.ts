/** The temperature of the processor, if the kernel has a sensor for it (sysfs: class/hwmon, class/thermal). */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { endsWithin } from '../../system/clock.ts';
import { ANSWER_MS } from './places.ts';

export interface Thermometer {
  /** Degrees Celsius of the hottest sensor; null if there is none, or if none answers in time. */
  measure(): Promise<number | null>;
}

/** Drivers of sensors inside of processors. */
const DRIVERS = ['coretemp', 'k10temp', 'zenpower', 'cpu_thermal', 'soc_thermal', 'scpi_sensors'];
/** Sensors that are read: a large machine has one for each core. */
const MOST = 8;
/** Number of calls without a sensor before the next search: an hour, at one call a minute. */
const LOOK_AGAIN = 60;

export function createThermometer(sys: string): Thermometer {
  let sensors: string[] | null = null;
  let idle = 0;
  /** A sensor on a slow bus may take its time: it is not asked again before it has answered. */
  let pending: Promise<void> | null = null;

  async function hottest(): Promise<number | null> {
    if (sensors === null || (sensors.length === 0 && ++idle >= LOOK_AGAIN)) {
      sensors = await findSensors(sys);
      idle = 0;
    }
    const read = await Promise.all(sensors.map(degrees));
    const known = read.filter((one) => one !== null);
    if (known.length === 0 && sensors.length > 0) sensors = null;
    return known.length === 0 ? null : Math.max(...known);
  }

  return {
    async measure() {
      if (pending !== null) return null;
      let found: number | null = null;
      pending = hottest()
        .then((one) => {
          found = one;
        })
        .finally(() => {
          pending = null;
        });
      await endsWithin(ANSWER_MS, pending);
      return found;
    },
  };
}

/** Files with thousandths of a degree. Zones of the firmware (`acpitz`) often lie, and count where there is nothing else. */
async function findSensors(sys: string): Promise<string[]> {
  const found: string[] = [];
  for (const dir of await list(path.join(sys, 'class/hwmon'))) {
    if (!DRIVERS.includes(await text(path.join(dir, 'name')))) continue;
    found.push(...(await list(dir)).filter((file) => /\/temp\d+_input$/.test(file)));
  }
  if (found.length > 0) return found.slice(0, MOST);
  const zones = (await list(path.join(sys, 'class/thermal'))).filter((dir) => /\/thermal_zone\d+$/.test(dir));
  const typed = await Promise.all(zones.map(async (dir) => ({ dir, type: await text(path.join(dir, 'type')) })));
  const cpus = typed.filter(({ type }) => /cpu|soc|x86_pkg/i.test(type));
  return (cpus.length > 0 ? cpus : typed).map(({ dir }) => path.join(dir, 'temp')).slice(0, MOST);
}

/** A sensor that is switched off answers with an error, or with nonsense. */
async function degrees(file: string): Promise<number | null> {
  const thousandths = Number.parseInt(await text(file), 10);
  if (!Number.isFinite(thousandths)) return null;
  const found = Math.round(thousandths / 100) / 10;
  return found > -60 && found < 200 ? found : null;
}

const list = async (dir: string): Promise<string[]> =>
  (await readdir(dir).catch(() => [])).sort().map((name) => path.join(dir, name));
const text = async (file: string): Promise<string> => (await readFile(file, 'utf8').catch(() => '')).trim();
