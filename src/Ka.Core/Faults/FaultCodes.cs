using System.Collections.Frozen;

namespace Ka.Core.Faults;

/// <summary>One page of <c>ka explain</c>.</summary>
/// <param name="Meaning">What the code says.</param>
/// <param name="Next">What a person does about it.</param>
public sealed record FaultExplanation(FaultCode Code, string Meaning, string Next);

/// <summary>Every code that Ka uses, those of documents included, with its explanation. A code that is not here does not exist.</summary>
public static class FaultCodes
{
    static readonly Dictionary<string, FaultExplanation> Table = new(StringComparer.Ordinal);

    // Power and out-of-band management.
    public static readonly FaultCode PowerBmcUnreachable = Add("power.bmc_unreachable",
        "The out-of-band controller (BMC) of the node did not answer in time.",
        "Check the BMC's network and credential: ipmitool -I lanplus -H HOST chassis status. Then retry the operation.");
    public static readonly FaultCode PowerRefused = Add("power.refused",
        "The power command was answered with an error.",
        "Read the evidence; test the driver by hand with 'ka power status -w NODE'.");
    public static readonly FaultCode PowerNoEffect = Add("power.no_effect",
        "The power command was accepted, but the node's power state did not change.",
        "The BMC may hang: reset it (ipmitool mc reset cold) or use the PDU.");
    public static readonly FaultCode PowerBmcCredential = Add("power.bmc_credential",
        "The out-of-band controller (BMC) refuses the credential, or its file cannot be read.",
        "Correct user and passwordFile in the cluster's file. Nothing was tried again, so that the account is not locked.");
    public static readonly FaultCode PowerBmcUntrusted = Add("power.bmc_untrusted",
        "The out-of-band controller (BMC) has another certificate than the configuration says.",
        "If the BMC was given a new certificate, put its SHA-256 as 'certificate' or its authority as 'authority' into the node's 'power'; else find out who answers there.");
    public static readonly FaultCode PowerUnsupported = Add("power.unsupported",
        "The power driver of the node cannot do this.",
        "Choose another level, or add a driver that can: 'on: wol' beside 'kind: ssh', or a BMC or switched outlet.");
    public static readonly FaultCode PowerNoLight = Add("power.no_light",
        "The power driver of the node, or its controller (BMC), has no light to be found by.",
        "Only the drivers ipmi and redfish have one; find the machine by its rack: ka nodes show NODE.");
    public static readonly FaultCode PowerSharedOutlet = Add("power.shared_outlet",
        "The outlet of the node feeds other nodes too, which the operation does not have.",
        "Name all nodes of the outlet together, or leave them all out.");

    // Consoles.
    public static readonly FaultCode ConsoleNone = Add("console.none",
        "The node has no serial console that the server could open.",
        "A BMC by 'kind: ipmi' brings one (Serial over LAN); else name a program: 'console: [PROGRAM, ARGUMENT…]' at the node or its cluster.");
    public static readonly FaultCode ConsoleBusy = Add("console.busy",
        "Somebody else writes at the console, or too many are open.",
        "Read along with 'ka console NODE --watch', or ask who writes to leave.");
    public static readonly FaultCode ConsoleReadOnly = Add("console.read_only",
        "Keys were sent to a console that is only watched.",
        "Open it without --watch when nobody else writes.");
    public static readonly FaultCode ConsoleEnded = Add("console.ended",
        "The serial line of the node ended or could not be opened.",
        "Read the evidence; a BMC gives its line to one session at a time. What was printed is kept: ka console NODE --log.");

    // Images by address.
    public static readonly FaultCode SourceRefused = Add("source.refused",
        "The server does not fetch from this address.",
        "Send the file from this machine ('file: NAME' beside the description), or let an administrator add the network to 'sources: { allow: [ADDRESS/PREFIX] }'.");
    public static readonly FaultCode SourceFailed = Add("source.failed",
        "An image could not be fetched from the address that its description names.",
        "Read the evidence; try the address from the server's machine with 'curl -I ADDRESS'.");

    public static readonly FaultCode StoreFull = Add("store.full",
        "The store of images has no room left within the site's limit, and every file in it is used or too young to go.",
        "Remove versions that nobody needs (ka env ls, ka env rm NAME:VERSION), or let an administrator raise 'limits: { store: SIZE }'.");

    public static readonly FaultCode UploadOffset = Add("upload.offset",
        "An upload does not go on where the server has come to.",
        "Ask where it is (HEAD gives Upload-Offset) and go on there; 'ka env apply' does it by itself.");

    // Switch ports.
    public static readonly FaultCode VlanUnconfigured = Add("vlan.unconfigured",
        "A VLAN was asked for, but the site has no program that puts nodes into one.",
        "Write 'vlan: { command: [PROGRAM, \"{vlan}\", \"{nodes}\"] }' into the server's configuration, or leave out --vlan.");
    public static readonly FaultCode VlanFailed = Add("vlan.failed",
        "The site's program could not put the switch ports of the nodes into the VLAN.",
        "Read the evidence; run the program of 'vlan' by hand with the same VLAN and nodes.");

    // Network boot.
    public static readonly FaultCode BootNoDhcp = Add("boot.no_dhcp",
        "After the reset no DHCP request of the node arrived.",
        "Check cable, switch port and boot order (network first); look at the console: ka lab console NODE, or the BMC's.");
    public static readonly FaultCode BootNoScript = Add("boot.no_script",
        "The node asked DHCP but never fetched its boot script.",
        "Check that the loader is served (TFTP, UDP port 69) and that no other DHCP server answers on this network. Firmware that enforces Secure Boot needs 'secureBoot: true' for its node.");
    public static readonly FaultCode BootNoKernel = Add("boot.no_kernel",
        "The node fetched its boot script but not the kernel and initramfs of the minimal environment.",
        "Check the HTTP boot port (TFTP for a node with Secure Boot) from the node's network, and the node's memory.");
    public static readonly FaultCode BootNoAgent = Add("boot.no_agent",
        "The node loaded the minimal environment, but its agent never reported.",
        "Look at the console: a missing network driver or too little memory are the usual causes (ka minimal build --kernel generic).");
    public static readonly FaultCode BootWrongSystem = Add("boot.wrong_system",
        "A system answers on the node, but it is not the one that was just deployed.",
        "Check the boot order and the disk that was chosen: ka nodes show NODE.");
    public static readonly FaultCode BootNoSsh = Add("boot.no_ssh",
        "The deployed system did not answer on its ssh port in time.",
        "Look at the console; check the image's network configuration and that it starts an ssh server.");
    public static readonly FaultCode BootWriteFailed = Add("boot.profile_failed",
        "The node's boot profile could not be written.",
        "Read the evidence; check the free space and the rights of the state directory.");

    // Agent.
    public static readonly FaultCode AgentLost = Add("agent.lost",
        "The node's agent was connected and fell silent.",
        "The machine crashed, hangs or lost its network; look at its console.");
    public static readonly FaultCode AgentRefused = Add("agent.refused",
        "An agent presented a credential that is wrong, used or too old.",
        "Usually a machine that booted an old profile: the retry gives it a new one. If it goes on, somebody imitates the node.");
    public static readonly FaultCode AgentProtocol = Add("agent.protocol",
        "The agent sent something that the protocol does not allow.",
        "Rebuild the minimal environment with the server's version: ka minimal build.");

    // Disks.
    public static readonly FaultCode DiskNotFound = Add("disk.not_found",
        "No disk of the node matches the selection of its cluster.",
        "The evidence lists the disks seen; mend 'disk.select' in the cluster file.");
    public static readonly FaultCode DiskTooSmall = Add("disk.too_small",
        "The layout or the image does not fit on the disk or partition.",
        "Choose a larger disk or a smaller layout.");
    public static readonly FaultCode DiskIoError = Add("disk.io_error",
        "Reading or writing the disk failed.",
        "Test the disk (smartctl -a) and drain the node.");
    public static readonly FaultCode DiskFull = Add("disk.full",
        "The file system ran full while the image was unpacked.",
        "Give the partition more space in the layout.");
    public static readonly FaultCode DiskPartitionFailed = Add("disk.partition_failed",
        "The partition table could not be written.",
        "Read sfdisk's message in the evidence; something may hold the disk.");
    public static readonly FaultCode DiskFormatFailed = Add("disk.format_failed",
        "A file system could not be made.",
        "Read the message of mkfs in the evidence.");
    public static readonly FaultCode DiskMountFailed = Add("disk.mount_failed",
        "A file system could not be mounted or unmounted.",
        "Read the message of mount in the evidence.");
    public static readonly FaultCode DiskNotAsKept = Add("disk.not_as_kept",
        "The disk does not hold the partitions that the layout keeps, or they leave no room for the others. Nothing was erased.",
        "Compare the evidence with the layout; remove 'keep' from what may be erased, or choose other nodes.");
    public static readonly FaultCode DiskStackFailed = Add("disk.stack_failed",
        "A RAID array, volume group or encrypted device could not be made, opened or stopped.",
        "Read the program's message in the evidence; something may hold the disk.");
    public static readonly FaultCode ImageLacksPackage = Add("image.lacks_package",
        "The deployed system lacks a program that it needs to open its own disk, or that its description names for its network.",
        "Add the package that the message names to the image (debian12-full has all for disks), or choose a plain layout or another 'network'.");
    public static readonly FaultCode ImageNetworkUnused = Add("image.network_unused",
        "The image has the network stack that its description names, but does not start it or does not take in its files.",
        "Mend the image as the message says (systemctl enable UNIT in it), or name another stack, or none, in 'network'.");
    public static readonly FaultCode NodeHasNoKey = Add("nodes.no_key",
        "No encrypted layout was ever deployed on this node, so it has no key.",
        "Nothing needs to be opened; see the node's layout in the cluster file.");
    public static readonly FaultCode DiskMismatch = Add("disk.mismatch",
        "What is on the disk is not what was sent.",
        "Test memory and disk of the node; the first paths are in the evidence.");

    // Image and broadcast.
    public static readonly FaultCode ImageCorrupt = Add("image.corrupt",
        "The bytes that arrived are not the bytes that were registered.",
        "Register the image again; if it recurs on one node, test its memory.");
    public static readonly FaultCode ImageExtractFailed = Add("image.extract_failed",
        "The archive could not be unpacked on the node.",
        "Read tar's message in the evidence.");
    public static readonly FaultCode BroadcastStalled = Add("broadcast.stalled",
        "The node received no data for too long although sources were there.",
        "Check its link and its disk: a slow disk stops the stream.");
    public static readonly FaultCode BroadcastUnreachable = Add("broadcast.unreachable",
        "The node could reach neither its predecessor in the chain nor the server.",
        "Check firewall and cabling between the nodes.");
    public static readonly FaultCode BroadcastLost = Add("broadcast.lost",
        "A receiver that had begun was heard of no more.",
        "Look whether the machine and its network are alive, and send to it again.");
    public static readonly FaultCode BroadcastStraggler = Add("broadcast.straggler",
        "The node was slow even when it was served alone, and was ended by the policy for stragglers.",
        "Look at its disk and its link, or let it take its time: --straggler tail.");
    public static readonly FaultCode BroadcastUnavailable = Add("broadcast.unavailable",
        "The way to broadcast that was asked for is not one, or cannot be had here. Nothing was erased.",
        "The message says what is missing; see ka deploy --help, or leave the choice to the server: --broadcast auto.");
    public static readonly FaultCode BroadcastNoRoom = Add("broadcast.no_room",
        "The node has no place for the whole image, which torrent and custom need before it is unpacked.",
        "Deploy by another way (--broadcast chain), or give the node more memory or a larger deploy partition.");
    public static readonly FaultCode BroadcastProgramFailed = Add("broadcast.program_failed",
        "The program that brings the image, or the BitTorrent client on the node, ended without it.",
        "Its output is in the evidence. Another way may do: --broadcast chain.");

    // Scripts and bootloader.
    public static readonly FaultCode SigningFailed = Add("ssh.signing_failed",
        "The server could not make or use the ssh keys of the site.",
        "Install openssh-client on the server, and check the 'ssh' folder of its state directory and its free space.");
    public static readonly FaultCode SystemUnreachable = Add("ssh.unreachable",
        "The system that runs on the node does not let the server in by ssh.",
        "It must answer on port 22 with the host key of its last deployment and have the server's key: 'server-key: true' in the cluster. The next strategy is tried.");
    public static readonly FaultCode SystemRefused = Add("ssh.refused",
        "The system that runs on the node could not do what was asked of it.",
        "Read the evidence; the next strategy is tried. An untrusted reboot needs nothing of the running system.");
    public static readonly FaultCode ScriptFailed = Add("script.failed",
        "A script of the site or of the environment ended with an error.",
        "Its output and exit status are in the evidence; run it by hand in the minimal environment.");
    public static readonly FaultCode ScriptTimeout = Add("script.timeout",
        "A script did not end before its deadline and was stopped.",
        "Give it a larger timeout, or find out what it waits for.");
    public static readonly FaultCode BootloaderFailed = Add("bootloader.failed",
        "The bootloader could not be installed.",
        "Read grub-install's message in the evidence; BIOS on GPT needs a bios-boot partition, UEFI an ESP.");
    public static readonly FaultCode KernelMissing = Add("bootloader.kernel_missing",
        "The kernel or initrd named by the environment is not in the unpacked image.",
        "Mend 'boot' in the description and apply it again.");
    public static readonly FaultCode KexecFailed = Add("boot.kexec_failed",
        "The kernel could not be loaded for kexec.",
        "The classical reboot takes over by itself; switch kexec off for this cluster if it recurs.");

    // Steps and operations.
    public static readonly FaultCode StepTimeout = Add("step.timeout",
        "The node did not finish the step before its deadline.",
        "Look at the node's log: ka ops logs ID -w NODE; raise the step's timeout if the node is only slow.");
    public static readonly FaultCode StepNoResult = Add("step.no_result",
        "A step ended without a word about this node.",
        "This is a bug of Ka: please report it with the operation's events (-o json).");
    public static readonly FaultCode StepCrashed = Add("step.crashed",
        "A step stopped with an unexpected exception.",
        "This is a bug of Ka: please report it with the server's log.");
    public static readonly FaultCode OperationCancelled = Add("operation.cancelled",
        "The operation was cancelled.",
        "Start it again when you wish.");

    // Requests.
    public static readonly FaultCode TemplateInvalid = Add("template.invalid",
        "A file of the environment cannot be rendered for a node.",
        "Look at what comes out: ka env render ENV -w NODE PATH. A var.NAME must be a variable of the environment or of the cluster.");
    public static readonly FaultCode OperationInvalid = Add("operation.invalid",
        "A custom operation cannot be placed in the plan.",
        "Name a macro step and a micro step of the plan at which an agent answers; 'ka deploy --dry-run' lists them.");
    public static readonly FaultCode ProfileInvalid = Add("profile.invalid",
        "The boot profile cannot be used.",
        "Each error names its place. A boot profile has 'kernel', and 'initrd' and 'params' if wanted; 'ka deploy --dry-run' shows the kernel line.");
    public static readonly FaultCode BreakpointInvalid = Add("breakpoint.invalid",
        "The breakpoint is at no step of the plan.",
        "Write --breakpoint MACRO or MACRO:STEP with names that 'ka deploy --dry-run -o json' lists.");
    public static readonly FaultCode StrategyInvalid = Add("strategy.invalid",
        "A strategy that was asked for on the command line is not one.",
        "Write --strategy STEP=NAME[:RETRIES[:TIMEOUT]],… where STEP is minimal-env, install or boot, as in 'steps' of the configuration.");
    public static readonly FaultCode RequestInvalid = Add("request.invalid",
        "The request is not of the form the server expects.",
        "Each error names its place and what was expected.");
    public static readonly FaultCode RequestTooLarge = Add("request.too_large",
        "The request is larger than the server takes.",
        "Send less, or in parts.");
    public static readonly FaultCode RequestKeyReused = Add("request.key_reused",
        "The idempotency key of the request was used within a day for another request.",
        "Send each new request with a key of its own; the same key only to repeat the same request.");
    public static readonly FaultCode RequestNotFound = Add("request.not_found",
        "The server has nothing under this address, or not for this method.",
        "The addresses are in /openapi/v1.json of the server.");
    public static readonly FaultCode RequestMediaType = Add("request.media_type",
        "The body of the request is of a kind that the server does not read there.",
        "Send application/json in UTF-8, not compressed.");
    public static readonly FaultCode NodesInvalid = Add("nodes.invalid",
        "The node set cannot be read.",
        "Use ClusterShell's syntax: node[1-4,7], @group, a!b. Try it: ka nodes expand TEXT.");
    public static readonly FaultCode NodesUnknown = Add("nodes.unknown",
        "Nodes are named that no cluster of this server has.",
        "See what there is: ka nodes ls.");
    public static readonly FaultCode NodesEmpty = Add("nodes.empty",
        "The node set is empty; an empty selection never means all.",
        "Name the nodes with -w.");
    public static readonly FaultCode NodesTooMany = Add("nodes.too_many",
        "The node set is larger than the limit.",
        "Name fewer nodes at once.");
    public static readonly FaultCode NodesBusy = Add("nodes.busy",
        "Nodes are held by another operation.",
        "Wait for it (ka ops ls), cancel it, or leave these nodes out.");
    public static readonly FaultCode NodesMixedClusters = Add("nodes.mixed_clusters",
        "The nodes belong to several clusters.",
        "Start one operation for each cluster.");
    public static readonly FaultCode EnvironmentUnknown = Add("environment.unknown",
        "There is no such environment.",
        "See what there is: ka env ls. Register one: ka env apply -f FILE.");
    public static readonly FaultCode EnvironmentInvalid = Add("environment.invalid",
        "The description of the environment has errors.",
        "Each is named with file, line and column.");
    public static readonly FaultCode EnvironmentExists = Add("environment.exists",
        "This name and version exist already with another content.",
        "Raise 'version' in the description; what is registered never changes.");
    public static readonly FaultCode EnvironmentInUse = Add("environment.in_use",
        "The environment is being deployed.",
        "Wait until the operation has ended: ka ops ls.");
    public static readonly FaultCode ArchiveTruncated = Add("archive.truncated",
        "The archive ends too early.",
        "Fetch or build it again, and compare its size and digest with the source.");
    public static readonly FaultCode ArchiveInvalid = Add("archive.invalid",
        "The archive cannot be read as what the description says it is.",
        "Check 'kind' and 'compression' in the description.");
    public static readonly FaultCode ArchiveDigest = Add("archive.digest_mismatch",
        "The file's SHA-256 is not the digest that the description pins.",
        "Fetch the file again, or mend the digest if the file was meant to change.");
    public static readonly FaultCode ArchiveKernelMissing = Add("archive.kernel_missing",
        "The kernel or initrd that the description names is not in the archive.",
        "Mend 'boot.kernel' and 'boot.initrd'; the evidence lists what lies in /boot.");
    public static readonly FaultCode ArchiveUnsafe = Add("archive.unsafe",
        "The archive has an entry that would be written outside its root, or through a link.",
        "The message names the entry. Pack a tree that was unpacked cleanly: tar -C ROOT -c .");
    public static readonly FaultCode ArchiveLimit = Add("archive.limit",
        "The archive goes beyond a limit that protects the server and the nodes.",
        "The message names the limit. An operating system does not need that: look at what the archive holds.");
    public static readonly FaultCode ManifestInvalid = Add("manifest.invalid",
        "The list of an image's files cannot be read, or belongs to another image.",
        "Register the environment again; on a node, use the agent of the server's version.");
    public static readonly FaultCode ManifestMissing = Add("manifest.missing",
        "There is no list of the image's files to check a disk against.",
        "Register the environment again, or deploy without the check: --verify none.");
    public static readonly FaultCode ArchiveTooLarge = Add("archive.too_large",
        "The unpacked image does not fit on the disk.",
        "Choose nodes with larger disks or a smaller image.");
    public static readonly FaultCode OperationUnknown = Add("operation.unknown",
        "There is no such operation.",
        "See what there is: ka ops ls.");
    public static readonly FaultCode OperationEnded = Add("operation.ended",
        "The operation has ended already.",
        "Nothing to do; see its result: ka ops show ID.");
    public static readonly FaultCode ConfigInvalid = Add("config.invalid",
        "The configuration has errors.",
        "Each is named with file, line and column: ka config check.");
    public static readonly FaultCode MinimalMissing = Add("minimal.missing",
        "The minimal environment (kernel and initramfs) is not there.",
        "Build it: ka minimal build.");
    public static readonly FaultCode AuthMissing = Add("auth.missing",
        "The request does not prove who sends it, or the proof is not known, over or taken back.",
        "On the server itself the Unix socket proves it. From elsewhere: KA_TOKEN or --token-file (ka token create), ka login, or --user with --password-file.");
    public static readonly FaultCode AuthBusy = Add("auth.busy",
        "More passwords are being checked than the server takes at once.",
        "Try again in a moment, or use a token: ka token create.");
    public static readonly FaultCode AuthIssuerUnreachable = Add("auth.issuer_unreachable",
        "The issuer of single sign-on does not answer, or not as OpenID Connect says.",
        "See 'oidc' in 'auth' of the server's configuration. Other proofs work meanwhile: the Unix socket, --token-file, --user.");
    public static readonly FaultCode AuthNoIssuer = Add("auth.no_issuer",
        "There is no single sign-on to use: the server names no issuer, or the issuer offers no device flow.",
        "Use another proof: --token-file (ka token create), --user, --certificate. An administrator names an issuer by 'oidc' in 'auth'.");
    public static readonly FaultCode AuthSignInRefused = Add("auth.sign_in_refused",
        "The issuer of single sign-on gave no token: the sign-in was denied or not confirmed in time, or an earlier one is over.",
        "Sign in again: ka login.");
    public static readonly FaultCode RightsMissing = Add("rights.missing",
        "No rule allows this on these nodes or things.",
        "See the rule that decides: ka rights check USER deploy -w NODES. An administrator gives rights: ka rights grant USER -w NODES.");
    public static readonly FaultCode RightsRole = Add("rights.role",
        "This needs a higher role.",
        "See yours: ka whoami. Roles are in 'auth' of the server's configuration.");
    public static readonly FaultCode RightsInvalid = Add("rights.invalid",
        "The rule or token that is asked for is not of the form that is expected.",
        "The message names the part. A rule has a subject (user, @group or *), nodes, and partitions, times and a source if wanted.");
    public static readonly FaultCode RightsConflict = Add("rights.conflict",
        "Somebody else has a right on these nodes.",
        "See who: ka rights ls. Take it away first, or grant with --overwrite or --share.");
    public static readonly FaultCode RightsUnknown = Add("rights.unknown",
        "There is no such rule or token.",
        "See what there is: ka rights ls, ka token ls.");
    public static readonly FaultCode RebootNotDeployed = Add("reboot.not_deployed",
        "The environment that the nodes are to be rebooted into is not what was last deployed on them.",
        "Deploy it (ka deploy ENV -w NODES), or reboot into what is on the disk: ka reboot -w NODES.");
    public static readonly FaultCode RebootDestructive = Add("reboot.destructive",
        "The last environment on nodes is marked as one that destroys what others need there.",
        "Deploy the nodes anew instead of rebooting them.");
    public static readonly FaultCode ServerStopped = Add("server.stopped",
        "An administrator has stopped everything that changes nodes.",
        "Ask who stopped it and why: ka stop --status. It goes on after 'ka stop --release'; operations that were ended are started again by hand.");
    public static readonly FaultCode NodesDrained = Add("nodes.drained",
        "Nodes are taken out of use.",
        "See why: ka nodes ls. Leave them out, or put them back: ka nodes undrain -w NODES; --drained takes them as they are.");
    public static readonly FaultCode NodesProtected = Add("nodes.too_many_at_once",
        "More nodes are to be changed at once than the site allows without a word of its own.",
        "If all of them are meant, say how many: --confirm-nodes N.");
    public static readonly FaultCode RightsEnded = Add("rights.ended",
        "The right on nodes of the operation ended while it ran.",
        "Get a new right, then start the operation again: ka rights check USER deploy -w NODES.");
    public static readonly FaultCode ServerUnreachable = Add("server.unreachable",
        "The server does not answer.",
        "Start it (ka server run) or name it: --server URL, KA_SERVER.");
    public static readonly FaultCode ServerInternal = Add("server.internal",
        "The server met an unexpected exception.",
        "This is a bug of Ka: please report it with the server's log.");

    static readonly FrozenDictionary<string, FaultExplanation> Frozen =
        Table.Values.Concat(DocumentCodes.All).ToFrozenDictionary(e => e.Code.Text, StringComparer.Ordinal);

    public static IReadOnlyCollection<FaultExplanation> All => Frozen.Values;

    public static FaultExplanation? Explain(string code) => Frozen.GetValueOrDefault(code);

    static FaultCode Add(string code, string meaning, string next)
    {
        var value = new FaultCode(code);
        Table.Add(code, new FaultExplanation(value, meaning, next));
        return value;
    }
}
