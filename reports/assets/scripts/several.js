// Start of a page of several runs: its panels follow the switches, and the address.

view.start();
panels.show();
panels.watch();
state.listen(() => {
  view.follow();
  panels.show();
});
