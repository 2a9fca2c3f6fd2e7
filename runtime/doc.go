// Package perfopt wires the parts: caches, scheduler, policies in their seats,
// the HTTP proxy and the admin side, and owns their lives. The folder is named
// runtime; the package perfopt, so that a file can import Go's runtime too.
//
//		cfg := perfopt.DefaultConfig()
//		rt, err := perfopt.New(cfg)
//		...
//		users, err := perfopt.CacheOf(rt, "users", perfopt.JSON[User](), loadUser)
//		u, err := users.GetOrLoad(ctx, id)
//
//	  - [Runtime] is the whole; [New] builds it, [Runtime.Start] opens what
//	    listens, [Runtime.Shutdown] ends it without cutting anything off.
//	  - [CacheOf] is a typed cache whose loads are tasks of the scheduler.
//	  - [Do] and [DoBatch] run work of your own under the adaptive limit.
//	  - [Runtime.Swap] and [Runtime.Rollback] exchange the policy of a seat while
//	    everything runs; [Runtime.Stats] shows what /v1/stats shows.
//
// The package must not know how a module is executed (hostabi does), how HTTP
// caching works (proxy does) or how the demo origin documents a library; it
// knows who needs whom and in which order they begin and end.
//
// Caveats. Two runtimes in one process are fine, two on one state folder are
// refused. A seat's policy is exchanged by one caller at a time; others wait.
// What is stored in memory is lost at Shutdown; L2, where configured, keeps
// it, and the state folder keeps policies and their history.
package perfopt
