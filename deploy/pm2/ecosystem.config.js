// Beside Node services: pm2 start deploy/pm2/ecosystem.config.js. docs/how-to/deploy-pm2.md
// DATABASE_URL, REDIS_URL and the others come from .env in the folder `cwd`.
const common = {
  cwd: process.env.MOBVIBE_HOME || process.cwd(),
  script: '.venv/bin/mobvibe',
  interpreter: 'none', // not a Node program
  exec_mode: 'fork',
  autorestart: true,
  exp_backoff_restart_delay: 1000,
  // The supervisor of workers ends its own processes; PM2 would send them SIGKILL with it.
  treekill: false,
  merge_logs: true,
  env: { NODE_ENV: 'production', PYTHONUNBUFFERED: '1', SHUTDOWN_TIMEOUT_MS: '30000' },
};

module.exports = {
  apps: [
    { ...common, name: 'mobvibe-bridge', args: 'run', kill_timeout: 15000, max_memory_restart: '512M' },
    // Longer than SHUTDOWN_TIMEOUT_MS by what the processes take to stop beyond it. PM2 does not see the memory of the
    // processes below the supervisor, so it limits none.
    { ...common, name: 'mobvibe-worker', args: 'worker', kill_timeout: 45000 },
    { ...common, name: 'mobvibe-web', args: 'web', kill_timeout: 15000, max_memory_restart: '512M' },
  ],
};
