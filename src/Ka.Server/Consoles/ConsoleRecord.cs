namespace Ka.Server.Consoles;

/// <summary>What a node printed, in two files of bounded size: the newest, and the one before it.</summary>
public sealed class ConsoleRecord(string directory, string node)
{
    /// <summary>Bytes of one file; a node keeps at most two.</summary>
    public const int FileLimit = 1 << 20;

    readonly string _path = Path.Combine(directory, node + ".log");

    /// <summary>Appends, and begins a new file when this one is full.</summary>
    public void Add(ReadOnlySpan<byte> printed)
    {
        Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        while (!printed.IsEmpty)
        {
            int room;
            using (var file = new FileStream(_path, new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            {
                room = (int)Math.Min(Math.Max(0, FileLimit - file.Position), printed.Length);
                file.Write(printed[..room]);
            }
            printed = printed[room..];
            if (!printed.IsEmpty)
                File.Move(_path, _path + ".1", overwrite: true);
        }
    }

    /// <summary>All that is kept, the oldest first; empty when nothing is.</summary>
    public byte[] Read()
    {
        var whole = new MemoryStream();
        foreach (var path in (string[])[_path + ".1", _path])
            if (File.Exists(path))
            {
                using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                file.CopyTo(whole);
            }
        return whole.ToArray();
    }
}
