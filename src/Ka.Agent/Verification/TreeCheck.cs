using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Core.Faults;
using Ka.Protocol.Manifests;

namespace Ka.Agent.Verification;

/// <summary>How a tree is checked.</summary>
/// <param name="Deployed">Leave out what the deployment itself changes: <see cref="DeployedChanges"/>.</param>
/// <param name="Always">Files whose content is read in any case.</param>
/// <param name="ContentTime">After this time a sample reads only what is to be read in any case; null is without limit.</param>
sealed record CheckOptions(VerifyMode Mode, ulong Seed, bool Deployed, IReadOnlyCollection<string> Always, TimeSpan? ContentTime = null);

/// <summary>
/// Compares a file system with a manifest: every name's type, owner, mode, size, links and attributes, and the content of all or some
/// files. Works on a target that was just unpacked and on a running system; never follows a link, never leaves the root.
/// </summary>
sealed class TreeCheck
{
    static readonly byte[] Itself = [0];

    readonly FileManifest _manifest;
    readonly CheckOptions _options;
    readonly MountPlaces _mounts;
    readonly EntryComparison _compare;
    readonly CancellationToken _cancel;
    readonly Dictionary<string, int> _places;
    readonly bool[] _seen;
    readonly bool[] _read;
    readonly ContentReader _contents;
    readonly Stopwatch _clock = Stopwatch.StartNew();
    readonly HashSet<string> _hiddenTrees = new(StringComparer.Ordinal);
    long _compared, _ignored, _hidden;

    TreeCheck(FileManifest manifest, MountPlaces mounts, CheckOptions options, ContentReader contents, CancellationToken cancel)
    {
        (_manifest, _mounts, _options, _contents, _cancel) = (manifest, mounts, options, contents, cancel);
        _compare = new EntryComparison(manifest);
        _places = new Dictionary<string, int>(manifest.Entries.Length, StringComparer.Ordinal);
        for (var i = 0; i < manifest.Entries.Length; i++)
            _places[manifest.Entries[i].Path] = i;
        _seen = new bool[manifest.Entries.Length];
        _read = options.Mode == VerifyMode.Sample ? ContentSample.Choose(manifest, options.Seed, options.Always) : [];
    }

    /// <summary>Compares the tree below a directory. The fault is about the check itself: a root that cannot be opened.</summary>
    /// <param name="progress">Takes the bytes read so far.</param>
    public static (VerifyReport? Report, Fault? Fault) Run(
        string root, FileManifest manifest, MountPlaces mounts, CheckOptions options, Action<long> progress, CancellationToken cancel)
    {
        var error = NativeFiles.OpenRoot(root, out var descriptor);
        if (error != 0)
            return (null, Fault.Of(FaultCodes.DiskMountFailed, "The root of the check cannot be opened.", $"{root}: {Native.Message(error)}"));
        using var contents = new ContentReader(progress, cancel);
        var check = new TreeCheck(manifest, mounts, options, contents, cancel);
        try
        {
            check.Root(descriptor);
            contents.Finish(check._compare);
            check.Missing();
        }
        finally
        {
            NativeFiles.Close(descriptor);
        }
        return (check.Report(root), null);
    }

    VerifyReport Report(string root) => new(
        root, _manifest.ImageSha256, _options.Mode.ToString().ToLowerInvariant(), _compare.Count == 0, _compared, _contents.Files, _contents.Bytes, _ignored, _hidden,
        (long)_clock.Elapsed.TotalMilliseconds, _compare.Count, [.. _compare.Differences]);

    void Root(int descriptor)
    {
        if (NativeFiles.State(descriptor, Itself, out var state) is not 0 and var error)
            _compare.Unreadable("/", error);
        else if (_places.TryGetValue("/", out var place))
            Compare(descriptor, Itself, place, state);
        Directory(descriptor, "/");
    }

    void Directory(int descriptor, string path)
    {
        _cancel.ThrowIfCancellationRequested();
        if (NativeFiles.Names(descriptor, out var names) is not 0 and var error)
        {
            _compare.Unreadable(path, error);
            return;
        }
        foreach (var name in names)
            Name(descriptor, name, (path == "/" ? "/" : path + "/") + ByteText.Decode(name.AsSpan(0, name.Length - 1)));
    }

    void Name(int directory, byte[] name, string path)
    {
        var known = _places.TryGetValue(path, out var place);
        if (known)
            _seen[place] = true;
        if (_options.Deployed && (DeployedChanges.Contain(path) || _mounts.IsElsewhere(path) || (!known && DeployedChanges.MayAdd(path))))
        {
            _ignored += known ? 1 : 0;
            if (known && _manifest.Entries[place].Type == FileType.Directory && !DeployedChanges.ContainAllOf(path) && !_mounts.IsElsewhere(path))
                Enter(directory, name, path);
            return;
        }
        if (NativeFiles.State(directory, name, out var state) is not 0 and var error)
        {
            // On a running system a file may go between two looks; then it was none of the image, or the manifest says so below.
            if (error != NativeFiles.NoEntry)
                _compare.Unreadable(path, error);
            else if (known)
                _seen[place] = false;
            return;
        }
        var isDirectory = state.Type == NativeFiles.Directory;
        if (isDirectory && _mounts.IsForeign(path))
        {
            _hiddenTrees.Add(path);
            _hidden += known ? 1 : 0;
            return;
        }
        if (known)
            Compare(directory, name, place, state);
        else if (!IsOwnPlace(path, isDirectory))
        {
            _compare.Extra(path);
            return; // what is in it is extra as well
        }
        if (isDirectory && (!known || _manifest.Entries[place].Type == FileType.Directory))
            Enter(directory, name, path);
    }

    /// <summary>A mount point that the agent made, or what mkfs makes.</summary>
    bool IsOwnPlace(string path, bool isDirectory) =>
        isDirectory && (_mounts.LeadsToMount(path) || (path.EndsWith("/lost+found", StringComparison.Ordinal) && _mounts.IsRoot(path[..^"/lost+found".Length])));

    void Enter(int directory, byte[] name, string path)
    {
        if (NativeFiles.OpenSubdirectory(directory, name, out var descriptor) is not 0 and var error)
        {
            _compare.Unreadable(path, error);
            return;
        }
        try
        {
            Directory(descriptor, path);
        }
        finally
        {
            NativeFiles.Close(descriptor);
        }
    }

    void Compare(int directory, byte[] name, int place, FileState state)
    {
        _seen[place] = true;
        _compared++;
        var entry = _manifest.Entries[place];
        var bare = _mounts.IsOnBareFileSystem(entry.Path);
        if (_compare.Metadata(entry, state, bare) && entry.Type == FileType.SymbolicLink)
            Target(directory, name, entry);
        if (!bare && EntryComparison.TypeFits(entry, state))
            Attributes(directory, name, entry);
        if (entry.Type == FileType.File && EntryComparison.TypeFits(entry, state) && state.Bytes == entry.Bytes && IsToRead(entry, place))
            Content(directory, name, entry);
    }

    bool IsToRead(ManifestEntry entry, int place) => _options.Mode switch
    {
        VerifyMode.None => false,
        VerifyMode.Sample => _read[place] && (_options.ContentTime is not { } limit || _clock.Elapsed < limit || _options.Always.Contains(entry.Path)),
        VerifyMode.Full => entry.SameAs is null,
    };

    void Target(int directory, byte[] name, ManifestEntry entry)
    {
        if (NativeFiles.LinkTarget(directory, name, out var target) is not 0 and var error)
            _compare.Unreadable(entry.Path, error);
        else
            _compare.Aspect(entry, "target", entry.Link, ByteText.Decode(target));
    }

    void Attributes(int directory, byte[] name, ManifestEntry entry)
    {
        if (NativeFiles.Attributes(directory, name, out var attributes) is not 0 and var error)
            _compare.Unreadable(entry.Path, error);
        else
            _compare.Attributes(entry, attributes);
    }

    void Content(int directory, byte[] name, ManifestEntry entry)
    {
        if (NativeFiles.OpenFile(directory, name, out var descriptor) is not 0 and var error)
            _compare.Unreadable(entry.Path, error);
        else
            _contents.Add(entry, descriptor);
    }

    void Missing()
    {
        for (var i = 0; i < _seen.Length; i++)
        {
            var path = _manifest.Entries[i].Path;
            if (_seen[i] || path == "/")
                continue;
            if (_options.Deployed && DeployedChanges.Contain(path))
                _ignored++;
            else if (IsHidden(path))
                _hidden++;
            else
                _compare.Missing(path);
        }
    }

    bool IsHidden(string path)
    {
        if (_hiddenTrees.Count == 0)
            return false;
        for (var slash = path.LastIndexOf('/'); slash > 0; slash = path.LastIndexOf('/', slash - 1))
            if (_hiddenTrees.Contains(path[..slash]))
                return true;
        return false;
    }
}
