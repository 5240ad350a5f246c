using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Ka.Cli;

/// <summary>Passwords and keys: from a file or the terminal, never from the command line.</summary>
static class Secrets
{
    /// <summary>A certificate with its key, alone; or none, said, when the files are none.</summary>
    public static X509CertificateCollection Certificate(string file, string key)
    {
        try
        {
            return [X509Certificate2.CreateFromPemFile(file, key)];
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {file} and {key} are no certificate with its key: {e.Message}  (auth.missing)"));
            return [];
        }
    }

    /// <summary>The first line of the file, or what a person types without echo; empty when neither is to be had.</summary>
    public static string Password(string name, string? file)
    {
        try
        {
            if (file is not null)
                return File.ReadLines(file).FirstOrDefault() ?? "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"ka: {file} cannot be read: {e.Message}  (auth.missing)");
            return "";
        }
        if (Console.IsInputRedirected)
            return "";
        Console.Error.Write($"Password of {name}: ");
        var typed = new StringBuilder();
        for (var key = Console.ReadKey(intercept: true); key.Key != ConsoleKey.Enter; key = Console.ReadKey(intercept: true))
            if (key.Key == ConsoleKey.Backspace)
                typed.Length = Math.Max(0, typed.Length - 1);
            else if (!char.IsControl(key.KeyChar))
                typed.Append(key.KeyChar);
        Console.Error.WriteLine();
        return typed.ToString();
    }
}
