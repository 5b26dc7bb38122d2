/** The files of results: in .bench/ those of this machine, beside the template those of docs/performance.md. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { growthPlots } from './growth-plots.ts';
import { performancePage } from './page.ts';
import { plotSvg } from './plot.ts';
import { NO_RESULTS, parseResults, type Results, resultsText } from './results.ts';

const REPO = path.join(import.meta.dirname, '../../..');

/** Results of quick runs are stored separately, so that none of them is ever published. */
export const RESULT_FILES = {
  full: path.join(REPO, '.bench/results.json'),
  quick: path.join(REPO, '.bench/quick.json'),
  published: path.join(REPO, 'test/bench/performance.json'),
} as const;

export const TEMPLATE = path.join(REPO, 'test/bench/performance.md');
export const PAGE = path.join(REPO, 'docs/performance.md');
const IMAGES = path.join(REPO, 'docs/images');

export const readResults = (file: string): Results =>
  existsSync(file) ? parseResults(readFileSync(file, 'utf8')) : NO_RESULTS;

export function writeResults(file: string, results: Results): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, resultsText(results));
}

/** Writes the published results, docs/performance.md, and its plots; plots of an earlier page are deleted. */
export function writePage(published: Results): void {
  writeResults(RESULT_FILES.published, published);
  writeFileSync(PAGE, performancePage(readFileSync(TEMPLATE, 'utf8'), published.benches));
  for (const name of readdirSync(IMAGES)) if (/^performance-.*\.svg$/.test(name)) rmSync(path.join(IMAGES, name));
  for (const { file, plot } of growthPlots(published.benches))
    if (plot !== null) writeFileSync(path.join(IMAGES, file), plotSvg(plot));
}
